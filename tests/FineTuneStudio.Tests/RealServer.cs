using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace FineTuneStudio.Tests;

/// The built application as a process of its own, for tests that kill it.
public sealed class RealServer : IAsyncDisposable
{
    private readonly Process process;

    public Uri Url { get; }

    private RealServer(Process process, Uri url) => (this.process, Url) = (process, url);

    /// Serves the data folder on a free port, or on a given one; ready when it returns.
    public static async Task<RealServer> Start(string dataFolder, int? port = null, IReadOnlyDictionary<string, string>? environment = null)
    {
        var url = new Uri($"http://localhost:{port ?? FreePort()}");
        var process = Process.Start(Ready(dataFolder, url, environment))!;
        var said = new System.Text.StringBuilder();
        process.OutputDataReceived += (_, e) => { lock (said) said.AppendLine(e.Data); };
        process.ErrorDataReceived += (_, e) => { lock (said) said.AppendLine(e.Data); };
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        var server = new RealServer(process, url);
        using var http = new HttpClient { BaseAddress = url, Timeout = TimeSpan.FromSeconds(5) };
        for (var waited = Stopwatch.StartNew(); waited.Elapsed < TimeSpan.FromSeconds(90); await Task.Delay(200))
        {
            if (process.HasExited) break;
            try
            {
                if ((await http.GetAsync("/account/sign-in")).IsSuccessStatusCode) return server;
            }
            catch (Exception e) when (e is HttpRequestException or TaskCanceledException)
            {
                // Not up yet.
            }
        }
        await server.DisposeAsync();
        lock (said) throw new InvalidOperationException($"The server did not come up:\n{said}");
    }

    /// Starts it on the data folder and kills it, as Kill does, as soon as something is so, whether or not it serves by then.
    public static async Task KillWhen(string dataFolder, Func<bool> so)
    {
        var start = Ready(dataFolder, new Uri($"http://localhost:{FreePort()}"), null);
        (start.RedirectStandardOutput, start.RedirectStandardError) = (false, false);
        using var process = Process.Start(start)!;
        for (var waited = Stopwatch.StartNew(); !so() && !process.HasExited && waited.Elapsed < TimeSpan.FromSeconds(60); await Task.Delay(1)) ;
        process.Kill();
        await process.WaitForExitAsync();
    }

    private static ProcessStartInfo Ready(string dataFolder, Uri url, IReadOnlyDictionary<string, string>? environment)
    {
        var configuration = new DirectoryInfo(AppContext.BaseDirectory).Name;
        var dll = Path.Combine(ContentRoot.Find([]), "artifacts", "bin", "FineTuneStudio", configuration, "FineTuneStudio.dll");
        var start = new ProcessStartInfo("dotnet", [dll, "--urls", url.ToString()]) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["DataFolder"] = dataFolder;
        start.Environment["Logging__LogLevel__Default"] = "Warning";
        start.Environment["BaseModels__StartersFolder"] = "no-starters";
        foreach (var (name, value) in environment ?? new Dictionary<string, string>()) start.Environment[name] = value;
        return start;
    }

    /// kill -9: no handler runs, nothing is flushed.
    public async Task Kill()
    {
        process.Kill();
        await process.WaitForExitAsync();
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    public async ValueTask DisposeAsync()
    {
        if (!process.HasExited) await Kill();
        process.Dispose();
    }
}
