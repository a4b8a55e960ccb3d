namespace FineTuneStudio.Pretraining;

/// A file of running text that models of the project can be pretrained on. Nothing ever changes it.
public sealed class PretrainText
{
    public int Id { get; init; }
    public required string ProjectId { get; init; }
    /// As its owner calls it; on the disk it is StoredAs.
    public required string Name { get; init; }
    /// File name under the data folder's texts, with the ending that says how it is read.
    public required string StoredAs { get; init; }
    /// On the disk, compressed or not.
    public required long Bytes { get; init; }
    public required long Documents { get; init; }
    public required long Words { get; init; }
    /// Of the file, hex.
    public required string Sha256 { get; init; }
    public required string UploadedById { get; init; }
    public required DateTime UploadedAt { get; init; }

    /// Stretches between white space.
    internal static long WordsOf(string text)
    {
        var (words, inside) = (0L, false);
        foreach (var c in text)
        {
            if (!char.IsWhiteSpace(c) && !inside) words++;
            inside = !char.IsWhiteSpace(c);
        }
        return words;
    }
}
