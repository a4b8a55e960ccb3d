using System.Net;
using System.Net.WebSockets;
using System.Text;
using System.Text.Json;

namespace FineTuneStudio.Tests.PermissionMatrix;

/// Speaks SignalR's JSON protocol over one WebSocket: one call at a time, which is all that knocking needs.
public sealed class HubClient(Uri server, CookieContainer cookies) : IAsyncDisposable
{
    private const char End = '\u001e';
    private readonly ClientWebSocket socket = new();
    private string rest = "";

    /// Throws WebSocketException where the server refuses the connection.
    public async Task Connect(string path, CancellationToken cancel)
    {
        socket.Options.Cookies = cookies;
        await socket.ConnectAsync(new UriBuilder(server) { Scheme = "ws", Path = path }.Uri, cancel);
        await Send("""{"protocol":"json","version":1}""", cancel);
        await Receive(cancel);
    }

    /// The error that the method ended with, or null. A stream counts as answered with its first item.
    public async Task<string?> Call(string method, object?[] arguments, bool stream, CancellationToken cancel)
    {
        await Send(JsonSerializer.Serialize(new { type = stream ? 4 : 1, invocationId = "1", target = method, arguments }), cancel);
        while (true)
        {
            var message = JsonDocument.Parse(await Receive(cancel)).RootElement;
            switch (message.GetProperty("type").GetInt32())
            {
                case 2: return null;
                case 3: return message.TryGetProperty("error", out var error) ? error.GetString() : null;
                case 7: return message.TryGetProperty("error", out var closing) ? closing.GetString() : "closed";
            }
        }
    }

    private Task Send(string text, CancellationToken cancel) => socket.SendAsync(Encoding.UTF8.GetBytes(text + End), WebSocketMessageType.Text, true, cancel);

    private async Task<string> Receive(CancellationToken cancel)
    {
        var buffer = new byte[1 << 14];
        while (true)
        {
            if (rest.IndexOf(End) is var at and >= 0)
            {
                var message = rest[..at];
                rest = rest[(at + 1)..];
                return message;
            }
            var got = await socket.ReceiveAsync(buffer, cancel);
            if (got.MessageType == WebSocketMessageType.Close) throw new IOException("The hub closed the connection.");
            rest += Encoding.UTF8.GetString(buffer, 0, got.Count);
        }
    }

    public ValueTask DisposeAsync() { socket.Dispose(); return ValueTask.CompletedTask; }
}
