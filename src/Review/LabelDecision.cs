namespace FineTuneStudio.Review;

public enum DecisionKind { Label, Undo, Flag, Unflag, Comment }

/// Who decided what about a row, when and why. Append-only: an undo is a decision too.
public sealed class LabelDecision
{
    public long Id { get; init; }
    public required int VersionId { get; init; }
    public required long RowId { get; init; }
    public required DecisionKind Kind { get; init; }
    public string? From { get; init; }
    public string? To { get; init; }
    public string? Why { get; init; }
    /// The last decision on this row that the person had seen (0: none). Unique with the row, so that two people never overwrite each other silently.
    public required long AfterId { get; init; }
    public required string UserId { get; init; }
    public required DateTime At { get; init; }
}
