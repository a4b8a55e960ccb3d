using FineTuneStudio.BaseModels;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Weights;
using FineTuneStudio.Ui;

namespace FineTuneStudio.Tests.BaseModels;

/// The folders in starters/ as they are shipped. A card with a number still to be measured, marked MEASURE, is of a model that is still being trained.
public sealed class ShippedStartersTests
{
    private static readonly string Root = Path.Combine(ContentRoot.Find([]), "starters");

    public static TheoryData<string> Folders => [.. Directory.GetDirectories(Root).Select(f => Path.GetFileName(f))];

    /// Whether its weights are not there yet; then its card has to say so.
    internal static bool IsOnItsWay(string name)
    {
        if (ModelWeights.Exist(Path.Combine(Root, name))) return false;
        Assert.True(Card(name).Contains("MEASURE", StringComparison.Ordinal), $"starters/{name} has a finished card and no weights.");
        return true;
    }

    private static string Card(string name) => File.ReadAllText(Path.Combine(Root, name, "README.md"));

    [SkippableTheory, MemberData(nameof(Folders))]
    public void A_starter_can_be_trained_says_its_licence_and_is_stored_in_bf16(string name)
    {
        Skip.If(IsOnItsWay(name), "It is still being trained.");
        var facts = ModelFolder.Inspect(Path.Combine(Root, name));
        Assert.Equal((true, null), (facts.CanTrain, facts.WhyNot));
        Assert.Equal("cc-by-sa-4.0", facts.License);
        using var weights = ModelWeights.Open(Path.Combine(Root, name));
        Assert.All(weights.Entries.Values, e => Assert.Equal("BF16", e.Dtype));
        Assert.Contains($"{facts.Parameters:N0}", Card(name));
    }

    [SkippableTheory, MemberData(nameof(Folders))]
    public void Its_card_has_every_number_measured_a_curve_of_its_held_out_loss_credits_and_what_it_is_not_good_for(string name)
    {
        var card = Markdown.Read(Card(name));
        var headings = card.OfType<MarkdownHeading>().Select(h => Markdown.Plain(h.Line)).ToList();
        Assert.Superset(new HashSet<string> { "How it was trained", "What it is not good for", "What it read", "Licence and credits" }, headings.ToHashSet());
        Assert.Contains("OpenStax, Rice University, CC BY 4.0", Card(name));
        Assert.Contains(card.OfType<MarkdownCode>(), c => c.Text.StartsWith("./studio pretrain ", StringComparison.Ordinal));
        Skip.If(IsOnItsWay(name), "It is still being trained.");
        Assert.DoesNotContain("MEASURE", Card(name));
        var curve = card.OfType<MarkdownTable>().SelectMany(ShowBaseModel.Curves).First();
        Assert.Equal("Held-out loss", curve.Name);
        Assert.True(curve.Points[^1].Loss < curve.Points[0].Loss);
    }

    [Fact]
    public void All_starters_together_take_at_most_30_MB() =>
        Assert.InRange(Directory.EnumerateFiles(Root, "*", SearchOption.AllDirectories).Sum(f => new FileInfo(f).Length), 1, 30_000_000);
}
