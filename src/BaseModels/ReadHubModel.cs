using System.Text.Json;
using System.Text.RegularExpressions;
using FineTuneStudio.Ui;

namespace FineTuneStudio.BaseModels;

/// What the hub says about a model: the commit that a revision stands for, and the files that would be taken.
public sealed record HubModel(string Repository, string Commit, string? License, IReadOnlyList<HubFile> Files);

public sealed partial class ReadHubModel(HubConnection hub, HubSettings settings)
{
    private const int MostAnswerBytes = 32 << 20, MostFiles = 500;

    internal async Task<HubModel> Of(HubSource from, CancellationToken cancel)
    {
        var (name, revision, token, endpoint) = (from.Repository.Trim(), from.Revision.Trim(), string.IsNullOrWhiteSpace(from.Token) ? null : from.Token.Trim(), settings.Endpoint);
        try
        {
            using var answer = await hub.Get($"/api/models/{name}/revision/{Uri.EscapeDataString(revision)}?blobs=true", token, 0, elsewhere: false, cancel);
            if (!answer.IsSuccessStatusCode) throw HubRefusal.Of(answer, endpoint, name, revision, token is not null);
            using var json = JsonDocument.Parse(await Body(answer, cancel));
            var about = json.RootElement;
            if (token is null && about.TryGetProperty("gated", out var gated) && gated.ValueKind is JsonValueKind.String or JsonValueKind.True) throw HubRefusal.Gated(endpoint, name);
            var commit = Text(about, "sha");
            if (commit is null || !Commits().IsMatch(commit)) throw new JsonException();
            // A model that was renamed answers under its new name.
            if (Text(about, "id") is { } id && HubSource.IsRepository(id)) name = id;
            return new(name, commit, License(about), Chosen(about, name, endpoint));
        }
        catch (Exception e) when (e is HttpRequestException or IOException) { throw HubRefusal.Unreachable(endpoint, e); }
        catch (Exception e) when (e is JsonException or InvalidOperationException) { throw new ModelRefused($"{endpoint.Host} does not answer as a model hub does. Check its address, {endpoint}."); }
    }

    private List<HubFile> Chosen(JsonElement about, string name, Uri endpoint)
    {
        var listed = Items(about, "siblings").ToList();
        var there = listed.Select(f => Text(f, "rfilename")).OfType<string>().Where(n => Names().IsMatch(n)).Distinct().ToList();
        ModelFiles.RequireModel(there, $"“{name}” on {endpoint.Host}");
        var wanted = ModelFiles.Needed(there).ToHashSet();
        if (wanted.Count > MostFiles) throw new ModelRefused($"“{name}” has {Say.Count(wanted.Count)} files that would be taken; a model has a dozen, and more than {MostFiles} are refused.");
        var files = listed.Where(f => Text(f, "rfilename") is { } n && wanted.Remove(n)).Select(f => Checked(f, name, endpoint)).OrderBy(f => f.Size).ThenBy(f => f.Name, StringComparer.Ordinal).ToList();
        var bytes = files.Sum(f => (decimal)f.Size);
        if (bytes > settings.MostBytes)
            throw new ModelRefused($"The files of “{name}” take {Say.Bytes((long)Math.Min(bytes, long.MaxValue))}; this server takes at most {Say.Bytes(settings.MostBytes)}. An administrator can raise BaseModels:Hub:MaxBytes.");
        return files;
    }

    private static HubFile Checked(JsonElement file, string name, Uri endpoint)
    {
        var large = file.TryGetProperty("lfs", out var lfs) && lfs.ValueKind == JsonValueKind.Object;
        var (hash, from) = large ? (Text(lfs, "sha256"), lfs) : (Text(file, "blobId"), file);
        if (hash is null || !(large ? Sha256s() : Commits()).IsMatch(hash) || !from.TryGetProperty("size", out var size) || !size.TryGetInt64(out var bytes) || bytes < 0)
            throw new ModelRefused($"{endpoint.Host} does not say size and hash of “{Text(file, "rfilename")}” in “{name}”, so the download could not be checked. Nothing was taken from there.");
        return new(Text(file, "rfilename")!, bytes, hash);
    }

    private static string? License(JsonElement about)
    {
        if (!about.TryGetProperty("cardData", out var card) || card.ValueKind != JsonValueKind.Object) return null;
        var said = Text(card, "license") ?? Items(card, "license").Select(l => l.ValueKind == JsonValueKind.String ? l.GetString() : null).FirstOrDefault();
        if (said == "other") said = Text(card, "license_name") ?? said;
        return said is { Length: > 100 } ? said[..100] : said;
    }

    private static async Task<byte[]> Body(HttpResponseMessage answer, CancellationToken cancel)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        patience.CancelAfter(TimeSpan.FromSeconds(60));
        try
        {
            await using var stream = await answer.Content.ReadAsStreamAsync(patience.Token);
            using var memory = new MemoryStream();
            var buffer = new byte[1 << 16];
            for (int read; (read = await stream.ReadAsync(buffer, patience.Token)) > 0;)
                if (memory.Length + read > MostAnswerBytes) throw new JsonException(); else memory.Write(buffer, 0, read);
            return memory.ToArray();
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested) { throw new IOException("no answer within 60 seconds"); }
    }

    private static string? Text(JsonElement of, string property) => of.ValueKind == JsonValueKind.Object && of.TryGetProperty(property, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static IEnumerable<JsonElement> Items(JsonElement of, string property) => of.TryGetProperty(property, out var value) && value.ValueKind == JsonValueKind.Array ? value.EnumerateArray() : [];

    /// Files in the model's own folder, under names that are the same on every disk.
    [GeneratedRegex(@"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}\z")]
    private static partial Regex Names();

    [GeneratedRegex(@"\A[0-9a-f]{40}\z")]
    private static partial Regex Commits();

    [GeneratedRegex(@"\A[0-9a-f]{64}\z")]
    private static partial Regex Sha256s();
}
