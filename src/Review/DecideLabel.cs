using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Review;

/// What a person decides about a row. AfterId is the last decision on the row that they had before their eyes (ReviewedRow.LastId).
/// Label goes with Kind Label; Why is the comment where Kind is Comment. NewLabel says that a label which does not exist yet is meant, not mistyped.
public sealed record Decision(int Version, long RowId, DecisionKind Kind, long AfterId, string? Label = null, string? Why = null, bool NewLabel = false);

/// Row is the row as it is now. Where others decided meanwhile, nothing was written and Meanwhile says who decided what.
public sealed record Outcome(ReviewedRow Row, IReadOnlyList<HistoryLine> Meanwhile)
{
    public bool Saved => Meanwhile.Count == 0;
}

/// Writes one decision down, before anything else happens.
public sealed class DecideLabel(IDbContextFactory<StudioDb> databases, ProjectAccess access, TimeProvider clock)
{
    public const int LongestLabel = Datasets.DataLimits.LabelCharacters;
    public const int LongestWhy = 1000;

    /// Throws an ArgumentException with a sentence for the person where the decision cannot be taken.
    [Needs(Permission.ReviewLabels)]
    public async Task<Outcome> Handle(string projectId, Decision decision, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.ReviewLabels, cancel);
        if (decision.Kind == DecisionKind.Undo) throw new ArgumentException("An undo has its own way: UndoDecision takes back one's own last label.");
        await using var db = await databases.CreateDbContextAsync(cancel);
        // A writing transaction from the start: nobody can decide between the look at the row and the write.
        await using var transaction = await db.Database.BeginTransactionAsync(cancel);
        var review = await ReviewOf.Find(db, projectId, decision.Version, cancel);
        var why = Why(decision.Why);
        if (decision.Kind == DecisionKind.Comment && why is null) throw new ArgumentException("The comment is empty; write what the others should know.");
        if (await review.Lock.Has(db, decision.RowId, cancel)) throw new ArgumentException(LockedSentence(review));
        var row = await ReviewedRow.Read(db, review, decision.RowId, cancel) ?? throw new ArgumentException($"Version {decision.Version} has no row {decision.RowId}.");
        if (row.LastId != decision.AfterId)
            return new(row, [.. row.History.Where(h => h.Version == decision.Version && h.Id > decision.AfterId)]);
        var to = decision.Kind == DecisionKind.Label ? await Label(db, review, pass, decision.Label, decision.NewLabel, cancel) : null;
        Add(db, review, row, decision.Kind, to, why, pass.UserId, clock);
        await db.SaveChangesAsync(cancel);
        await transaction.CommitAsync(cancel);
        return new((await ReviewedRow.Read(db, review, decision.RowId, cancel))!, []);
    }

    internal static void Add(StudioDb db, ReviewOf review, ReviewedRow row, DecisionKind kind, string? to, string? why, string userId, TimeProvider clock) =>
        db.Decisions.Add(new LabelDecision
        {
            VersionId = review.Version.Id, RowId = row.RowId, Kind = kind, AfterId = row.LastId, UserId = userId, At = clock.GetUtcNow().UtcDateTime, Why = why,
            From = kind is DecisionKind.Label or DecisionKind.Undo ? row.Label : null, To = to,
        });

    /// The label as it will be written, or a refusal: an unknown name is taken only from those who may shape the label set, and only when they say so.
    internal static async Task<string> Label(StudioDb db, ReviewOf review, ProjectPass pass, string? name, bool isNew, CancellationToken cancel)
    {
        name = name?.Trim() ?? "";
        // What stands in the data can be said again, however it came there.
        var known = await review.Labels(db, cancel);
        if (known.Contains(name)) return name;
        if (name.Length is 0 or > LongestLabel || name.Any(char.IsControl)) throw new ArgumentException($"A label has 1 to {LongestLabel} characters on one line; this one has {name.Length}.");
        if (!pass.May(Permission.FreezeVersion))
            throw new ArgumentException($"“{name}” is not a label here. Choose one from the list; an owner, engineer or reviewer of the project can add a new one.");
        if (known.FirstOrDefault(k => string.Equals(k, name, StringComparison.OrdinalIgnoreCase)) is { } like)
            throw new ArgumentException($"There is a label “{like}” already; “{name}” differs only in capitals.");
        if (!isNew) throw new ArgumentException($"“{name}” is not a label here yet. Confirm that you want to add it.");
        return name;
    }

    internal static string? Why(string? why) => why?.Trim() switch
    {
        null or "" => null,
        { Length: > LongestWhy } long_ => throw new ArgumentException($"The comment has {long_.Length} characters; keep it within {LongestWhy}."),
        var said => said,
    };

    internal static string LockedSentence(ReviewOf review) => $"This row is locked: it is in the test part of {review.Lock.Name}. Its label is neither shown nor changed before a report reads it, so that the test stays honest.";
}
