using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;

namespace FineTuneStudio.BaseModels;

/// Asks the one configured hub, and follows it only where it may lead: elsewhere only for large files, never from https to http, never from
/// the open network into a private one. The access token goes to the hub itself and to nobody else.
public sealed class HubConnection : IDisposable
{
    private const int MostRedirects = 5;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private readonly HubSettings settings;
    private readonly Func<string, CancellationToken, Task<IPAddress[]>> resolve;
    private readonly HttpClient http;

    public HubConnection(HubSettings settings) : this(settings, (host, cancel) => Dns.GetHostAddressesAsync(host, cancel)) { }

    internal HubConnection(HubSettings settings, Func<string, CancellationToken, Task<IPAddress[]>> resolve)
    {
        (this.settings, this.resolve) = (settings, resolve);
        http = new HttpClient(new SocketsHttpHandler
        {
            AllowAutoRedirect = false, UseCookies = false, AutomaticDecompression = DecompressionMethods.None, ActivityHeadersPropagator = null,
            ConnectTimeout = Patience, PooledConnectionLifetime = TimeSpan.FromMinutes(2), MaxResponseHeadersLength = 64, ConnectCallback = Connect,
        }) { Timeout = Timeout.InfiniteTimeSpan };
    }

    /// The answer to GET, its body unread. Path begins with “/”. HttpRequestException and IOException where the hub cannot be reached.
    internal async Task<HttpResponseMessage> Get(string path, string? token, long from, bool elsewhere, CancellationToken cancel)
    {
        var hub = settings.Endpoint;
        if (token is not null && hub.Scheme == "http" && !await IsInside(hub, cancel))
            throw new ModelRefused($"The address of the model hub, {settings.Address}, is not encrypted, so the access token is not sent there. An administrator can set BaseModels:Hub:Endpoint to one with https.");
        var at = new Uri(settings.Address + path);
        for (var redirects = 0; ; redirects++)
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, at);
            request.Headers.UserAgent.Add(new ProductInfoHeaderValue("FineTuneStudio", null));
            if (from > 0) request.Headers.Range = new RangeHeaderValue(from, null);
            if (token is not null && IsHub(at, hub)) request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
            var answer = await Send(request, cancel);
            if ((int)answer.StatusCode is not (301 or 302 or 303 or 307 or 308)) return answer;
            using (answer) at = await Next(hub, at, answer.Headers.Location, elsewhere, redirects, cancel);
        }
    }

    private async Task<HttpResponseMessage> Send(HttpRequestMessage request, CancellationToken cancel)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        patience.CancelAfter(Patience);
        try { return await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, patience.Token); }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested) { throw new HttpRequestException($"no answer within {Patience.TotalSeconds:0} seconds"); }
        catch (HttpRequestException e) when (e.InnerException is ModelRefused refused) { throw new ModelRefused(refused.Message); }
    }

    private async Task<Uri> Next(Uri hub, Uri at, Uri? location, bool elsewhere, int redirects, CancellationToken cancel)
    {
        if (location is null || redirects >= MostRedirects || !Uri.TryCreate(at, location, out var next))
            throw new ModelRefused($"{hub.Host} sends from one address to the next without an end; nothing was taken from there.");
        if (IsHub(next, hub)) return next;
        if (!elsewhere || next.Scheme != "https" && next.Scheme != hub.Scheme || next.UserInfo.Length > 0)
            throw new ModelRefused($"{hub.Host} sends to {next.Scheme}://{next.Host}, which is not followed: only large files may lie elsewhere, and only encrypted. Nothing was taken from there.");
        // A proxy would look names up by itself; an address it is told is checked here.
        if (IPAddress.TryParse(next.IdnHost, out var address) && IsPrivate(address) && !await IsInside(hub, cancel)) throw Private(hub, next.Host);
        return next;
    }

    private async ValueTask<Stream> Connect(SocketsHttpConnectionContext context, CancellationToken cancel)
    {
        var (to, hub, asked) = (context.DnsEndPoint, settings.Endpoint, context.InitialRequestMessage.RequestUri!);
        var addresses = await Addresses(to.Host, cancel);
        // Another host than the one that was asked for is the proxy of this server's environment.
        if (!IsHub(asked, hub) && to.Host.Equals(asked.IdnHost, StringComparison.OrdinalIgnoreCase) && addresses.Any(IsPrivate) && !await IsInside(hub, cancel)) throw Private(hub, to.Host);
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(addresses, to.Port, cancel);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch { socket.Dispose(); throw; }
    }

    private static ModelRefused Private(Uri hub, string host) =>
        new($"{hub.Host} sends to {host}, an address inside a private network, which is not followed. Nothing was taken from there.");

    private static bool IsHub(Uri uri, Uri hub) => uri.Scheme == hub.Scheme && uri.Host == hub.Host && uri.Port == hub.Port && uri.UserInfo.Length == 0;

    private async Task<bool> IsInside(Uri hub, CancellationToken cancel) => (await Addresses(hub.IdnHost, cancel)).All(IsPrivate);

    private async Task<IPAddress[]> Addresses(string host, CancellationToken cancel)
    {
        if (IPAddress.TryParse(host, out var literal)) return [literal];
        var found = await resolve(host, cancel);
        return found.Length > 0 ? found : throw new SocketException((int)SocketError.HostNotFound);
    }

    /// Whether an address is none of the open internet: loopback, private, link-local, shared, reserved or multicast, also where it is wrapped in IPv6.
    internal static bool IsPrivate(IPAddress address)
    {
        if (address.IsIPv4MappedToIPv6) return IsPrivate(address.MapToIPv4());
        var b = address.GetAddressBytes();
        if (address.AddressFamily == AddressFamily.InterNetwork)
            return b[0] is 0 or 10 or 127 or >= 224 || b[0] == 100 && b[1] is >= 64 and < 128 || b[0] == 169 && b[1] == 254 || b[0] == 172 && b[1] is >= 16 and < 32
                || b[0] == 192 && (b[1] == 168 || b[1] == 0 && b[2] is 0 or 2) || b[0] == 198 && (b[1] is 18 or 19 || b[1] == 51 && b[2] == 100) || b[0] == 203 && b[1] == 0 && b[2] == 113;
        // Outside of 2000::/3 only the NAT64 prefix leads to the open internet; 2002::/16 and 64:ff9b::/96 carry an IPv4 address, 2001::/32 hides one.
        if (b[0] == 0 && b[1] == 0x64 && b[2] == 0xff && b[3] == 0x9b && b.AsSpan(4, 8).IndexOfAnyExcept((byte)0) < 0) return IsPrivate(new IPAddress(b.AsSpan(12)));
        if (b[0] == 0x20 && b[1] == 0x02) return IsPrivate(new IPAddress(b.AsSpan(2, 4)));
        return (b[0] & 0xe0) != 0x20 || b[0] == 0x20 && b[1] == 0x01 && (b[2] == 0 && b[3] == 0 || b[2] == 0x0d && b[3] == 0xb8);
    }

    public void Dispose() => http.Dispose();
}
