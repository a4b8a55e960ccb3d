namespace FineTuneStudio.Checklists;

public enum Verdict { Kept, NotKept, DoesNotApply }

/// A person's answer to one of the ten do's and don'ts. Append-only; the newest counts.
public sealed class ChecklistAnswer
{
    public long Id { get; init; }
    public required string ProjectId { get; init; }
    /// "quality-data", "no-poor-labels", ...
    public required string Item { get; init; }
    public required Verdict Verdict { get; init; }
    public required string Reason { get; init; }
    public required string UserId { get; init; }
    public required DateTime At { get; init; }
}
