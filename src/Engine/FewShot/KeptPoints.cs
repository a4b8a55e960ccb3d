using System.Text;
using System.Text.Json;
using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Engine.FewShot;

/// <summary>
/// The finished points of a curve, one JSON object a line, each on disk before the next point begins. A line that a killed process left unfinished is cut off.
/// </summary>
public sealed class KeptPoints : IDisposable
{
    public const string FileName = "points.jsonl";

    private static readonly JsonSerializerOptions Format = new() { PropertyNamingPolicy = JsonNamingPolicy.CamelCase };

    private readonly FileStream file;
    private readonly FileStream held;
    private readonly List<FewShotPoint> points = [];
    private readonly Func<FewShotMethod, string> of;

    /// <param name="Of">What the point depends on besides k and draw, as a hash.</param>
    private sealed record Line(FewShotPoint Point, string Of);

    private KeptPoints(string path, Func<FewShotMethod, string> of)
    {
        this.of = of;
        // The lock is a file of its own, so that the points can be read meanwhile; the system drops it when a process is killed.
        try { held = new(path + ".lock", FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 1, FileOptions.DeleteOnClose); }
        catch (IOException) when (File.Exists(path + ".lock")) { throw new TrainingException($"Another curve is being measured into {Path.GetDirectoryName(path)}; wait for it, or choose another output folder."); }
        file = new(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite);
    }

    public IReadOnlyList<FewShotPoint> Points => points;

    /// <param name="of">What points of a method depend on, as a hash; points of other hashes are another curve's.</param>
    /// <param name="resume">Whether points that are there belong to the curve; otherwise there must be none.</param>
    /// <exception cref="TrainingException">There are points that may not be used.</exception>
    internal static KeptPoints Open(string folder, bool resume, Func<FewShotMethod, string> of)
    {
        Directory.CreateDirectory(folder);
        var path = Path.Combine(folder, FileName);
        var kept = new KeptPoints(path, of);
        try
        {
            if (kept.file.Length > 0 && !resume) throw new TrainingException($"{path} already holds points of a curve; go on with it, or choose another output folder.");
            kept.Read(path);
            return kept;
        }
        catch
        {
            kept.Dispose();
            throw;
        }
    }

    /// <summary>The finished points in a folder, of whatever curve, also while it is measured; none where there is no file.</summary>
    /// <exception cref="TrainingException">The file is not one of points.</exception>
    public static IReadOnlyList<FewShotPoint> In(string folder)
    {
        var path = Path.Combine(folder, FileName);
        if (!File.Exists(path)) return [];
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        return [.. Lines(stream, path, out _).Select(l => l.Point)];
    }

    internal void Append(FewShotPoint point)
    {
        file.Write([.. JsonSerializer.SerializeToUtf8Bytes(new Line(point, of(point.Method)), Format), (byte)'\n']);
        file.Flush(flushToDisk: true);
        points.Add(point);
    }

    private void Read(string path)
    {
        var lines = Lines(file, path, out var whole);
        foreach (var (point, hash) in lines)
        {
            if (of(point.Method) != hash) throw new TrainingException($"{path} holds points of another curve: with other rows or labels, another base model, seed or setting of {point.Method.Name()}; choose another output folder.");
            points.Add(point);
        }
        file.SetLength(whole);
        file.Position = whole;
    }

    /// <param name="whole">Bytes up to the end of the last whole line.</param>
    private static List<Line> Lines(FileStream stream, string path, out long whole)
    {
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        whole = Array.LastIndexOf(bytes, (byte)'\n') + 1;
        var lines = new List<Line>();
        foreach (var (i, text) in Encoding.UTF8.GetString(bytes, 0, (int)whole).Split('\n', StringSplitOptions.RemoveEmptyEntries).Index())
        {
            try { lines.Add(JsonSerializer.Deserialize<Line>(text, Format) is { Point: not null, Of: not null } line ? line : throw new JsonException()); }
            catch (JsonException) { throw new TrainingException($"{path}, line {i + 1} is not a point of a curve; choose another output folder."); }
        }
        return lines;
    }

    public void Dispose()
    {
        file.Dispose();
        held.Dispose();
    }
}
