using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Headless;

/// <summary>
/// <c>doctor [--json]</c>: the libtorch, device, threads, kernels and instruction sets that were found, the matrix rate that was measured,
/// and what would make it faster. Where a variable of the environment could force a slower kernel, the rate is measured again
/// in a process without it.
/// </summary>
public static class DoctorCommand
{
    private static readonly Command Command = new("doctor", "says what training on this machine rests on, how fast it is, and what would make it faster.",
        Command.Json, new("--rate", null, "The float32 matrix rate alone, in GFLOP/s."));

    /// <summary>Below this ratio a difference of two measurements is taken for noise.</summary>
    private const double Noise = 1.15;

    /// <returns>0; 1 with a sentence on <paramref name="error"/> where libtorch cannot be used.</returns>
    public static int Run(string[] args, TextWriter output, TextWriter error)
    {
        try
        {
            if (Command.Helps(args, output)) return 0;
            var options = new CommandOptions(Command, args);
            if (options.Has("--rate"))
            {
                output.WriteLine(Number(MachineFacts.MatrixRate(ScalarType.Float32)));
                return 0;
            }
            var facts = MachineFacts.Gather();
            var (rate, half) = (MachineFacts.MatrixRate(ScalarType.Float32), MachineFacts.MatrixRate(ScalarType.BFloat16));
            double? without = facts.Variables.Count == 0 ? null : RateWithout(facts.Variables.Keys);
            var advice = Advice(facts, rate, without);
            if (options.Has("--json")) output.WriteLine(JsonSerializer.Serialize(new { facts, float32Gflops = rate, bfloat16Gflops = half, float32GflopsWithoutVariables = without, advice }, new JsonSerializerOptions(JsonSerializerDefaults.Web)));
            else foreach (var line in Lines(facts, rate, half, without).Concat(advice)) output.WriteLine(line);
            return 0;
        }
        catch (Exception e) when (e is CommandException or DllNotFoundException or TypeInitializationException)
        {
            error.WriteLine(e is CommandException ? e.Message : $"libtorch does not load: {(e.InnerException ?? e).Message}");
            return 1;
        }
    }

    private static IEnumerable<string> Lines(MachineFacts facts, double rate, double half, double? without)
    {
        yield return $"libtorch          {facts.Libtorch}{(facts.LibtorchFile is { } file ? $", {file}" : "")}";
        yield return $"device            CPU{(facts.CudaDevices ? "; the graphics card is used by pretrain --device cuda alone" : facts.NvidiaDriver ? "; this libtorch does not see the graphics card of this machine" : "")}";
        yield return $"processor         {facts.Processor}, {facts.Processors} for this process";
        yield return $"instruction sets  {(facts.InstructionSets.Count > 0 ? string.Join(" ", facts.InstructionSets) : "not told by this system")}";
        yield return $"threads           {facts.Threads}";
        yield return $"matrix product    {Product(facts)}";
        yield return $"matrix rate       float32 {Number(rate)} GFLOP/s, bfloat16 {Number(half)} GFLOP/s (best product of 1024 x 1024 matrices in half a second)";
        yield return $"bf16 mixed        {Mixed(facts, rate, half)}";
        yield return $"environment       {(facts.Variables.Count == 0 ? "sets nothing that chooses kernels or threads" : string.Join(", ", facts.Variables.Select(v => $"{v.Key}={v.Value}")) + (without is { } w ? $"; without: float32 {Number(w)} GFLOP/s" : ""))}";
    }

    /// <summary>What the recipe's precision is worth here.</summary>
    internal static string Mixed(MachineFacts facts, double rate, double half) => (MachineFacts.HasBf16(facts.InstructionSets) switch
    {
        true => "the processor has bf16 instructions",
        false => "the processor has no bf16 instructions",
        null => "this system does not tell whether the processor has bf16 instructions",
    }) + FormattableString.Invariant($"; a bfloat16 product runs at {half / rate:0.0##} times the rate of float32{(half < rate ? ", so train in float32" : "")}");

    private static string Product(MachineFacts facts) =>
        facts.MatrixLibraries.Any(f => f.StartsWith("libdnnl")) && !facts.Variables.ContainsKey("FTS_BLAS") ? "oneDNN"
        : facts.OpenBlasKernel is { } kernel ? $"OpenBLAS, kernel {kernel}"
        : facts.MatrixLibraries.Count > 0 ? string.Join(", ", facts.MatrixLibraries) : "built into libtorch";

    /// <summary>What would make training faster here, a sentence each; one that says so where nothing was found.</summary>
    /// <param name="rate">Measured float32 rate, GFLOP/s.</param>
    /// <param name="without">The same without the set variables, or null where there are none.</param>
    internal static IReadOnlyList<string> Advice(MachineFacts facts, double rate, double? without)
    {
        var advice = new List<string>();
        var names = string.Join(", ", facts.Variables.Keys);
        if (without is { } free && free > rate * Noise)
            advice.Add($"The environment costs speed: without {names} the same product runs at {Number(free)} instead of {Number(rate)} GFLOP/s. Unset {(facts.Variables.Count == 1 ? "it" : "them")}, or find out which by unsetting one at a time.");
        else if (without is not null)
            advice.Add($"{names} {(facts.Variables.Count == 1 ? "is" : "are")} set, but the product is no faster without.");
        if (facts.Threads < facts.Processors)
            advice.Add($"libtorch uses {facts.Threads} of {facts.Processors} processors; if they are cores and not hyperthreads, OMP_NUM_THREADS={facts.Processors} makes use of all.");
        if (Product(facts) is not "oneDNN" && facts.OpenBlasKernel is null && facts.MatrixLibraries.Any(f => f.StartsWith("libblas")))
            advice.Add("The matrix product is that of the system's reference BLAS: install libopenblas0-pthread, or unset FTS_BLAS.");
        if (advice.Count == 0 || (advice.Count == 1 && without is not null && without <= rate * Noise))
            advice.Add("Nothing was found that slows it down; only a faster processor would help, because training runs on the processor alone.");
        return advice;
    }

    /// <summary>A second measurement takes some seconds; a machine that swaps may take longer.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <summary>The float32 rate in a fresh process without these variables, or null where it cannot be started or does not answer in a minute.</summary>
    private static double? RateWithout(IEnumerable<string> names)
    {
        if (Environment.ProcessPath is not { } program) return null;
        var start = new ProcessStartInfo(program) { RedirectStandardOutput = true, RedirectStandardError = true };
        if (Path.GetFileNameWithoutExtension(program) == "dotnet" && Environment.GetCommandLineArgs() is [var library, ..]) start.ArgumentList.Add(library);
        start.ArgumentList.Add("doctor");
        start.ArgumentList.Add("--rate");
        foreach (var name in names) start.Environment.Remove(name);
        using var process = Process.Start(start);
        if (process is null) return null;
        // Both pipes are read at once: a child that fills the one nobody reads waits for ever.
        var (said, complaint) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        if (!Task.WaitAll([said, complaint], Patience) || !process.WaitForExit(Patience))
        {
            process.Kill(entireProcessTree: true);
            return null;
        }
        return double.TryParse(said.Result, CultureInfo.InvariantCulture, out var rate) ? rate : null;
    }

    private static string Number(double value) => value.ToString(value < 10 ? "0.0" : "0", CultureInfo.InvariantCulture);
}
