using System.Text.RegularExpressions;

namespace FineTuneStudio.Tests.Architecture;

/// The rules of the house, read off the sources: who may name whom, how long a file may be, what the README's map says.
public sealed class HouseTests
{
    private static readonly string Root = ContentRoot.Find([]);

    /// Which folders' namespaces a folder may name, besides its own.
    private static readonly Dictionary<string, string[]> May = Closed(new()
    {
        ["Torch"] = [], ["Engine"] = ["Torch"], ["Ui"] = [], ["Accounts"] = ["Ui"], ["Projects"] = ["Accounts", "Ui", "Engine"],
        ["Datasets"] = ["Projects", "Engine"], ["Review"] = ["Datasets"], ["Splits"] = ["Review"], ["BaseModels"] = ["Projects", "Engine"],
        ["Runs"] = ["Splits", "BaseModels", "Engine"], ["FewShot"] = ["Runs"], ["Pretraining"] = ["Runs"], ["Checklists"] = ["Runs"], ["Reports"] = ["Checklists", "FewShot", "Engine"], ["Models"] = ["Reports"],
    });

    /// Longer than their budget, and why that is right.
    private static readonly Dictionary<string, string> Allowed = new()
    {
    };

    public static IReadOnlyList<string> WrongReferences(string path, string text)
    {
        var folder = path.Split('/')[1];
        if (!May.TryGetValue(folder, out var may)) return [];
        var named = Regex.Matches(text, @"\b(?:FineTuneStudio\.(?<f>[A-Z]\w+)|(?<t>TorchSharp))\b")
            .Select(m => m.Groups["t"].Success ? "Torch" : m.Groups["f"].Value).Distinct();
        if (path.EndsWith(".razor"))
            named = named.Concat(Regex.Matches(text, @"(?:@inject |<)(?<t>[A-Z]\w+)").Select(m => Homes.Value.GetValueOrDefault(m.Groups["t"].Value, folder))).Distinct();
        return [.. named.Where(n => n != folder && (May.ContainsKey(n) || n == "Shell") && !may.Contains(n))
            .Select(n => $"{path} names {n}; {folder} may name only {string.Join(", ", may.Append(folder))}.")];
    }

    /// Which folder a type is declared in, for the components and injections that razor files name without a namespace.
    private static readonly Lazy<Dictionary<string, string>> Homes = new(() => Sources()
        .SelectMany(s => (s.Path.EndsWith(".razor") ? [Path.GetFileNameWithoutExtension(s.Path)] : Regex.Matches(s.Text, @"\b(?:class|record|struct|enum) (\w+)").Select(m => m.Groups[1].Value))
            .Select(type => (type, home: s.Path.Split('/')[1])))
        .Where(t => May.ContainsKey(t.home) || t.home == "Shell")
        .GroupBy(t => t.type).Where(g => g.Select(t => t.home).Distinct().Count() == 1).ToDictionary(g => g.Key, g => g.First().home));

    public static IReadOnlyList<string> TooLong(string path, int lines)
    {
        var budget = path.StartsWith("src/Engine/") || path.StartsWith("src/Torch/") ? 450 : 300;
        return lines <= budget || Allowed.ContainsKey(path) ? [] : [$"{path} has {lines} lines; its budget is {budget}. Cut it, or give a reason in Allowed."];
    }

    public static IReadOnlyList<string> WrongMap(IReadOnlyCollection<string> mapped, IReadOnlyCollection<string> present) =>
    [
        .. mapped.Except(present).Select(f => $"README's map names {f}, which is not there."),
        .. present.Except(mapped).Select(f => $"{f} is missing from README's map."),
    ];

    /// Test classes that open a browser and would make `./studio test quick` slow. The permission matrix is worth its seconds.
    public static IReadOnlyList<string> SlowUnsaid(IEnumerable<Type> tests) =>
    [
        .. tests.Where(t => t.Namespace != "FineTuneStudio.Tests.PermissionMatrix" && t.GetConstructors().Any(c => c.GetParameters().Any(p => p.ParameterType == typeof(Browser))))
            .Where(t => !t.CustomAttributes.Any(a => a.AttributeType == typeof(TraitAttribute) && a.ConstructorArguments is [{ Value: "Cost" }, { Value: "Slow" }]))
            .Select(t => $"{t.FullName} opens a browser; mark it [Trait(\"Cost\", \"Slow\")]."),
    ];

    [Fact]
    public void Browser_journeys_are_marked_slow() => Assert.Empty(SlowUnsaid(typeof(HouseTests).Assembly.GetTypes().Where(t => t != typeof(Planted))));

    [Fact]
    public void A_planted_journey_without_the_mark_is_found() =>
        Assert.Equal(["FineTuneStudio.Tests.Architecture.HouseTests+Planted opens a browser; mark it [Trait(\"Cost\", \"Slow\")]."], SlowUnsaid([typeof(Planted)]));

    private sealed class Planted { public Planted(Browser browser) => _ = browser; }

    [Fact]
    public void No_folder_names_what_it_may_not() =>
        Assert.Empty(Sources().SelectMany(s => WrongReferences(s.Path, s.Text)));

    [Fact]
    public void A_planted_wrong_reference_is_found() =>
        Assert.Equal(["src/Splits/Planted.cs names Runs; Splits may name only Review, Datasets, Projects, Accounts, Ui, Engine, Torch, Splits."],
            WrongReferences("src/Splits/Planted.cs", "using FineTuneStudio.Runs;"));

    [Fact]
    public void A_planted_wrong_component_is_found() =>
        Assert.Equal(["src/Ui/Planted.razor names Shell; Ui may name only Ui."], WrongReferences("src/Ui/Planted.razor", "<RoadLine Stops=\"stops\" />"));

    [Fact]
    public void No_file_outgrows_its_budget() =>
        Assert.Empty(Sources().SelectMany(s => TooLong(s.Path, s.Text.Split('\n').Length)));

    [Fact]
    public void Nine_in_ten_web_files_have_at_most_200_lines()
    {
        var lengths = Sources().Where(s => !s.Path.StartsWith("src/Engine/") && !s.Path.StartsWith("src/Torch/")).Select(s => s.Text.Split('\n').Length).Order().ToList();
        Assert.True(lengths[(int)(lengths.Count * 0.9)] <= 200, $"The 90th percentile is {lengths[(int)(lengths.Count * 0.9)]} lines.");
    }

    [Fact]
    public void A_planted_long_file_is_found() =>
        Assert.Equal(["src/Runs/Planted.cs has 301 lines; its budget is 300. Cut it, or give a reason in Allowed."], TooLong("src/Runs/Planted.cs", 301));

    [Fact]
    public void The_file_map_of_the_README_is_the_tree()
    {
        var map = Regex.Match(File.ReadAllText(Path.Combine(Root, "README.md")), @"## File map\n+```\n(?<map>.*?)```", RegexOptions.Singleline).Groups["map"].Value;
        Assert.NotEqual("", map);
        var mapped = map.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => l.Split(' ')[0].TrimEnd('/')).ToHashSet();
        var present = Directory.GetDirectories(Path.Combine(Root, "src")).Select(d => "src/" + Path.GetFileName(d))
            .Concat(Directory.GetDirectories(Path.Combine(Root, "tests")).Select(d => "tests/" + Path.GetFileName(d)))
            .Concat(new[] { "src/Program.cs", "src/StudioDb.cs", "bench", "build", "docs", "sample", "starters", "studio", "wwwroot" }).ToHashSet();
        Assert.Empty(WrongMap(mapped, present));
    }

    [Fact]
    public void A_planted_wrong_map_is_found() =>
        Assert.Equal(["README's map names src/Gone, which is not there.", "src/New is missing from README's map."], WrongMap(["src/Gone"], ["src/New"]));

    [Fact]
    public void Nothing_unfinished_and_no_drawer_is_in_the_sources()
    {
        Assert.Empty(Sources().Where(s => Regex.IsMatch(s.Text, @"\bTODO\b|\bFIXME\b|NotImplementedException|coming soon|lorem ipsum", RegexOptions.IgnoreCase)).Select(s => s.Path));
        Assert.Empty(Sources().Where(s => Regex.IsMatch(Path.GetFileNameWithoutExtension(s.Path), "(Manager|Helpers?|Utils?|Service)$")).Select(s => s.Path));
    }

    private static IEnumerable<(string Path, string Text)> Sources() =>
        Directory.EnumerateFiles(Path.Combine(Root, "src"), "*.*", SearchOption.AllDirectories)
            .Where(f => f.EndsWith(".cs") || f.EndsWith(".razor"))
            .Select(f => (Path.GetRelativePath(Root, f).Replace('\\', '/'), f))
            .Where(f => !f.Item1.StartsWith("src/Migrations/") && !f.Item1.Contains("/obj/"))
            .Select(f => (f.Item1, File.ReadAllText(f.f)));

    private static Dictionary<string, string[]> Closed(Dictionary<string, string[]> direct)
    {
        var closed = new Dictionary<string, string[]>();
        foreach (var folder in direct.Keys)
        {
            var reach = new List<string>();
            void Visit(string f) { foreach (var d in direct[f]) if (d != folder && !reach.Contains(d)) { reach.Add(d); Visit(d); } }
            Visit(folder);
            closed[folder] = [.. reach];
        }
        return closed;
    }
}
