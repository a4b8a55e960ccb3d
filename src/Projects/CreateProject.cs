using System.Globalization;
using System.Text;
using FineTuneStudio.Accounts;
using FineTuneStudio.Engine.Training;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Projects;

public sealed class NewProject
{
    public string Name { get; set; } = "";
    public string Purpose { get; set; } = "";
    public TextTask Task { get; set; } = TextTask.SingleLabel;
    public Metric Metric { get; set; } = Metric.MacroF1;
    public double Goal { get; set; } = 0.8;
    public string Approver { get; set; } = "";
    public string Guidelines { get; set; } = "";

    /// What the form begins with; a perplexity is 1 at best.
    public static double UsualGoal(Metric metric) => metric == Metric.Perplexity ? 10 : 0.8;
}

public sealed class CreateProject(IDbContextFactory<StudioDb> databases, ProjectAccess access, ProjectBeginnings beginnings, TimeProvider clock)
{
    /// One sentence for each field that cannot be taken as it is.
    public static IReadOnlyDictionary<string, string> Faults(NewProject form)
    {
        var faults = new Dictionary<string, string>();
        if (form.Name.Trim().Length is < 3 or > 80) faults[nameof(form.Name)] = $"The name has {form.Name.Trim().Length} characters; give it 3 to 80.";
        if (form.Purpose.Trim().Length is < 10 or > 1000) faults[nameof(form.Purpose)] = $"The purpose has {form.Purpose.Trim().Length} characters; say in 10 to 1,000 what the model is for.";
        if (!form.Task.Metrics().Contains(form.Metric)) faults[nameof(form.Metric)] = $"The metric is {form.Metric.Name()}, which does not measure this task; choose {string.Join(" or ", form.Task.Metrics().Select(m => m.Name()))}.";
        else if (!double.IsFinite(form.Goal)) faults[nameof(form.Goal)] = $"The goal is {form.Goal}; it must be a number.";
        else if (form.Metric.IsShare() && form.Goal is not (> 0 and <= 1)) faults[nameof(form.Goal)] = string.Create(CultureInfo.InvariantCulture, $"The goal is {form.Goal}; it must be above 0 and at most 1 (0.9 means 90 %).");
        else if (form.Metric == Metric.Perplexity && form.Goal <= 1) faults[nameof(form.Goal)] = string.Create(CultureInfo.InvariantCulture, $"The goal is {form.Goal}; a perplexity is never below 1, which is that of a model that foresees every word, so give a number above 1, such as 10.");
        if (form.Approver.Trim().Length is < 2 or > 120) faults[nameof(form.Approver)] = $"Who approves has {form.Approver.Trim().Length} characters; name a person or a function in 2 to 120.";
        return faults;
    }

    [Open(OpenTo.SignedIn, "whoever has an account may start a project, and becomes its owner and engineer")]
    public async Task<Project> Handle(NewProject form, bool sample = false, CancellationToken cancel = default)
    {
        var userId = await access.RequireSignedIn(cancel);
        if (Faults(form) is { Count: > 0 } faults) throw new ArgumentException(string.Join(" ", faults.Values));
        await using var db = await databases.CreateDbContextAsync(cancel);
        var now = clock.GetUtcNow().UtcDateTime;
        var project = new Project
        {
            Id = await FreeId(db, form.Name, cancel), Name = form.Name.Trim(), Purpose = form.Purpose.Trim(), Task = form.Task,
            Metric = form.Metric, Goal = form.Goal, Approver = form.Approver.Trim(), Guidelines = form.Guidelines.Trim(), IsSample = sample, CreatedById = userId, CreatedAt = now,
        };
        db.Projects.Add(project);
        // An owner who also does the work is the common case; a second person must still sign.
        foreach (var role in new[] { Role.Owner, Role.Engineer, Role.Reviewer })
            db.Memberships.Add(new Membership { ProjectId = project.Id, UserId = userId, Role = role, Since = now });
        db.Events.Add(new ProjectEvent { ProjectId = project.Id, UserId = userId, At = now, Text = "created the project", Href = $"/p/{project.Id}" });
        beginnings.Put(db, project);
        await db.SaveChangesAsync(cancel);
        return project;
    }

    private static async Task<string> FreeId(StudioDb db, string name, CancellationToken cancel)
    {
        var id = new StringBuilder();
        foreach (var c in name.Normalize(NormalizationForm.FormD).ToLowerInvariant())
            if (c is >= 'a' and <= 'z' or >= '0' and <= '9') id.Append(c);
            else if (id.Length > 0 && id[^1] != '-' && CharUnicodeInfo.GetUnicodeCategory(c) != UnicodeCategory.NonSpacingMark) id.Append('-');
        var stem = id.ToString().Trim('-') is { Length: > 0 } s ? s[..Math.Min(s.Length, 40)].Trim('-') : "project";
        for (var n = 1; ; n++)
        {
            var candidate = n == 1 ? stem : $"{stem}-{n}";
            if (!await db.Projects.AnyAsync(p => p.Id == candidate, cancel)) return candidate;
        }
    }
}
