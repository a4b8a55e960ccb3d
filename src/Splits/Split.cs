namespace FineTuneStudio.Splits;

public enum SplitPart { Train, Validation, Test }

/// A frozen division of a version's labelled rows.
public sealed class Split
{
    public int Id { get; init; }
    public required string ProjectId { get; init; }
    public required int Number { get; init; }
    public required int VersionId { get; init; }
    public required int Seed { get; init; }
    public required double TrainShare { get; init; }
    public required double ValidationShare { get; init; }
    public required double TestShare { get; init; }
    /// Ordered labels with the count in each part, as JSON: [{"Name":"delivery","Train":168,"Validation":21,"Test":21}].
    public required string CountsJson { get; init; }
    /// SHA-256 over the version's hash and every row's part, hex.
    public required string Hash { get; init; }
    public required string CreatedById { get; init; }
    public required DateTime CreatedAt { get; init; }
}

/// Written and read in bulk, never tracked.
public sealed class SplitRow
{
    public required int SplitId { get; init; }
    public required long RowId { get; init; }
    public required SplitPart Part { get; init; }
}
