using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Checklists;

/// A person says whether one do or don't was kept, and why. Earlier answers stay.
public sealed class AnswerChecklist(IDbContextFactory<StudioDb> databases, ProjectAccess access, TimeProvider clock)
{
    public const int ShortestReason = 10, LongestReason = 2000;

    /// Why the answer cannot be taken as it is, or null.
    public static string? Fault(string reason) => reason.Trim().Length is < ShortestReason or > LongestReason
        ? $"The reason has {reason.Trim().Length} characters; give it {ShortestReason} to {LongestReason:N0}, so that an approver can follow it." : null;

    [Needs(Permission.AnswerChecklist)]
    public async Task Handle(string projectId, string item, Verdict verdict, string reason, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.AnswerChecklist, cancel);
        var line = DosAndDonts.All.SingleOrDefault(i => i.Key == item) ?? throw new ArgumentException($"There is no checklist item “{item}”; expected one of {string.Join(", ", DosAndDonts.All.Select(i => i.Key))}.");
        if (!Enum.IsDefined(verdict)) throw new ArgumentException("The answer must be Kept, Not kept or Does not apply.");
        if (Fault(reason) is { } fault) throw new ArgumentException(fault);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var now = clock.GetUtcNow().UtcDateTime;
        db.ChecklistAnswers.Add(new ChecklistAnswer { ProjectId = pass.Project.Id, Item = item, Verdict = verdict, Reason = reason.Trim(), UserId = pass.UserId, At = now });
        db.Events.Add(new ProjectEvent { ProjectId = pass.Project.Id, UserId = pass.UserId, At = now, Text = $"answered “{line.Title}”: {Said(verdict)}", Href = $"/p/{pass.Project.Id}/checklist#{item}" });
        await db.SaveChangesAsync(cancel);
    }

    public static string Said(Verdict verdict) => verdict switch { Verdict.Kept => "kept", Verdict.NotKept => "not kept", _ => "does not apply" };
}
