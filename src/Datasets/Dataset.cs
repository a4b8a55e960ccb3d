namespace FineTuneStudio.Datasets;

public enum ImportState { Receiving, Received, Importing, Imported, Failed, Cancelled }

/// One uploaded file on its way to a dataset version.
public sealed class Import
{
    public int Id { get; init; }
    public required string ProjectId { get; init; }
    /// As the browser named it; shown, never used as a path.
    public required string FileName { get; init; }
    public required long Size { get; init; }
    /// Bytes safely on disk; an interrupted upload goes on from here.
    public long Received { get; set; }
    public ImportState State { get; set; }
    /// Random name under the data folder.
    public required string StoredAs { get; init; }
    /// How the file is read (encoding, delimiter, quote, header, format) and which column is what, as JSON.
    public string? FormatJson { get; set; }
    public string? MappingJson { get; set; }
    public int RowsAccepted { get; set; }
    public int RowsRejected { get; set; }
    public string? Problem { get; set; }
    public int? VersionId { get; set; }
    public required string CreatedById { get; init; }
    public required DateTime CreatedAt { get; init; }
}

public sealed class RejectedRow
{
    public long Id { get; init; }
    public required int ImportId { get; init; }
    public required long Line { get; init; }
    public required int Column { get; init; }
    public required string Found { get; init; }
    public required string Reason { get; init; }
}

public enum VersionKind { Import, Review }

/// An immutable snapshot of rows and their labels.
public sealed class DatasetVersion
{
    public int Id { get; init; }
    public required string ProjectId { get; init; }
    /// 1, 2, 3 within the project; in the address.
    public required int Number { get; init; }
    public required VersionKind Kind { get; init; }
    public int? ParentId { get; init; }
    public int? ImportId { get; init; }
    public required string Note { get; init; }
    public required int RowCount { get; init; }
    public required int LabeledCount { get; init; }
    /// Ordered label names with their counts, as JSON: [{"Name":"delivery","Count":210}].
    public required string LabelsJson { get; init; }
    /// SHA-256 over row ids, texts, attributes and labels in row order, hex.
    public required string ContentHash { get; init; }
    public required string CreatedById { get; init; }
    public required DateTime CreatedAt { get; init; }
}

/// The text of a row, stored once and never changed; its id is stable across versions. Written and read in bulk, never tracked.
public sealed class DataRow
{
    public long Id { get; init; }
    public required string ProjectId { get; init; }
    public required string Text { get; init; }
    /// Kept attributes as a JSON object of strings, or null.
    public string? AttributesJson { get; init; }
    /// Key of the normalised text: rows with the same key are exact duplicates.
    public required string TextKey { get; init; }
}

/// A row in a version with its label there; null is unlabelled. Written and read in bulk, never tracked.
public sealed class VersionRow
{
    public required int VersionId { get; init; }
    public required long RowId { get; init; }
    public required int Position { get; init; }
    public string? Label { get; init; }
}
