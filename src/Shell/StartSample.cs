using System.Text.RegularExpressions;
using FineTuneStudio.Accounts;
using FineTuneStudio.Datasets;
using FineTuneStudio.Projects;

namespace FineTuneStudio.Shell;

/// A project with the data that come with the product, which begins as every project with the starter models, so that the whole road can be walked without own data.
public sealed partial class StartSample(CreateProject create, ImportFile import, StudioFolder folder)
{
    [Open(OpenTo.SignedIn, "fills a new project of the caller's own")]
    public async Task<Project> Handle(CancellationToken cancel = default)
    {
        var sample = Path.Combine(folder.ContentRoot, "sample");
        var project = await create.Handle(new NewProject
        {
            Name = "Sample: customer messages",
            Purpose = "Route the messages that customers send to an online shop to the team that can answer them.",
            Metric = Metric.MacroF1, Goal = 0.8, Approver = "a second person, by a one-time link",
            Guidelines = Guidelines(await File.ReadAllTextAsync(Path.Combine(sample, "README.md"), cancel)),
        }, sample: true, cancel);
        await import.Handle(project.Id, project.CreatedById, Path.Combine(sample, "customer-messages.csv"), "customer-messages.csv", note: "Sample data that comes with FineTuneStudio", cancel: cancel);
        return project;
    }

    /// The label guidelines stand in the sample's README; a labeler reads the same sentences.
    private static string Guidelines(string readme) =>
        string.Join("\n", LabelLine().Matches(readme).Select(m => $"{m.Groups[1].Value}: {m.Groups[2].Value.Replace("`", "")}"));

    [GeneratedRegex(@"^\| `(\w+)` \| \d+ \| (.+?) \|\r?$", RegexOptions.Multiline)]
    private static partial Regex LabelLine();
}
