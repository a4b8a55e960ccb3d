using System.Diagnostics;
using System.Text.Json;
using FineTuneStudio.Datasets;
using FineTuneStudio.Projects;
using FineTuneStudio.Splits;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Tests.Splits;

public sealed class FreezeSplitTests(StudioFixture app) : IClassFixture<StudioFixture>
{
    private Task<Split> Freeze(Person person, Project project, SplitForm form) => person.Do<FreezeSplit, Split>(f => f.Handle(project.Id, form));
    private Task<PreviewSplit.Result> Preview(Person person, Project project, SplitForm form) => person.Do<PreviewSplit, PreviewSplit.Result>(p => p.Handle(project.Id, form));

    [Fact]
    public async Task A_frozen_split_is_what_the_preview_showed_and_stays_listed()
    {
        var owner = await app.NewPerson("Olga Owner");
        var project = await app.NewProject(owner);
        var version = await app.NewVersion(project, Rows.Of(("pay", 50), ("send", 30), (null, 7)));
        var form = new SplitForm { VersionNumber = version.Number, Seed = 3 };

        var preview = await Preview(owner, project, form);
        var split = await Freeze(owner, project, form);

        Assert.Equal(preview.Hash, split.Hash);
        Assert.Equal([new("pay", 40, 5, 5), new("send", 24, 3, 3)], preview.Labels);
        Assert.Equal("""[{"Name":"pay","Train":40,"Validation":5,"Test":5},{"Name":"send","Train":24,"Validation":3,"Test":3}]""", split.CountsJson);
        Assert.Contains("7 rows without a label are left out. Label them in the review and freeze a new version to use them.", preview.Warnings);
        await using var db = app.Db;
        Assert.Equal(8, await db.SplitRows.CountAsync(r => r.SplitId == split.Id && r.Part == SplitPart.Test));
        Assert.Equal(80, await db.SplitRows.CountAsync(r => r.SplitId == split.Id));
        var line = Assert.Single(await owner.Do<ListSplits, IReadOnlyList<ListSplits.Line>>(l => l.Handle(project.Id)));
        Assert.Equal((64, 8, 8, "Olga Owner", version.Number), (line.Train, line.Validation, line.Test, line.By, line.VersionNumber));
        Assert.Contains(await db.Events.Where(e => e.ProjectId == project.Id).ToListAsync(), e => e.Text == "froze split 1 of version 1: 64 train, 8 validation, 8 test");
    }

    [Fact]
    public async Task The_same_seed_gives_the_same_hash_and_freezing_it_twice_is_refused()
    {
        var owner = await app.NewPerson();
        var project = await app.NewProject(owner);
        var version = await app.NewVersion(project, Rows.Of(("a", 40), ("b", 40)));
        var first = await Freeze(owner, project, new() { VersionNumber = version.Number, Seed = 1 });
        Assert.Equal(first.Hash, (await Preview(owner, project, new() { VersionNumber = version.Number, Seed = 1 })).Hash);
        Assert.NotEqual(first.Hash, (await Preview(owner, project, new() { VersionNumber = version.Number, Seed = 2 })).Hash);
        var refused = await Assert.ThrowsAsync<ArgumentException>(() => Freeze(owner, project, new() { VersionNumber = version.Number, Seed = 1 }));
        Assert.Equal("Split 1 divides version 1 in exactly this way already. Use it, or take another seed.", refused.Message);
        Assert.Equal(2, (await Freeze(owner, project, new() { VersionNumber = version.Number, Seed = 2 })).Number);
    }

    [Fact]
    public async Task Conflicting_duplicates_and_rare_labels_are_named()
    {
        var owner = await app.NewPerson();
        var project = await app.NewProject(owner);
        var version = await app.NewVersion(project, [.. Rows.Of(("a", 20), ("b", 20), ("rare", 2)), ("Same text", "a"), ("same  text", "b"), ("one", "lump"), ("one", "lump"), ("one", "lump")]);
        var preview = await Preview(owner, project, new() { VersionNumber = version.Number });
        Assert.Equal(
        [
            "1 text occurs with more than one label (2 rows). The rows of such a text stay in one part, but at least one of them is labelled wrongly: settle them in the review first.",
            "Too rare to be in every part, with fewer than 3 rows: “rare” (2). They stay whole in the training part, so nothing will be known about how well they are recognised.",
            "Not in every part, because their rows repeat too few different texts: “lump” (3). Add examples that are worded differently.",
        ], preview.Warnings);
        Assert.Equal(3, preview.KeptTogether);
    }

    [Fact]
    public async Task One_label_data_and_unlabelled_data_are_refused_in_words()
    {
        var owner = await app.NewPerson();
        var project = await app.NewProject(owner);
        var one = await app.NewVersion(project, Rows.Of(("only", 1200)));
        var none = await app.NewVersion(project, Rows.Of((null, 9)));
        var few = await app.NewVersion(project, Rows.Of(("a", 2), ("b", 3)));
        Assert.Equal("All 1,200 labelled rows bear the same label, “only”. A classifier needs at least two labels to tell apart: label more rows, or map another column as the label.",
            (await Assert.ThrowsAsync<ArgumentException>(() => Freeze(owner, project, new() { VersionNumber = one.Number }))).Message);
        Assert.Equal("None of the 9 rows of this version has a label. A split divides labelled rows: label some in the review and freeze a new version first.",
            (await Preview(owner, project, new() { VersionNumber = none.Number })).Refusal);
        Assert.Equal("This version has 5 rows with a label; at least 6 are needed to make three parts.", (await Preview(owner, project, new() { VersionNumber = few.Number })).Refusal);
        Assert.Equal("There is no version 99 in this project; choose one from the list.",
            (await Assert.ThrowsAsync<ArgumentException>(() => Freeze(owner, project, new() { VersionNumber = 99 }))).Message);
    }

    [Fact]
    public void Shares_that_leave_a_part_empty_or_do_not_add_up_are_named()
    {
        Assert.Equal(["The shares add up to 95 %; they must make 100 %."], new SplitForm { Train = 75 }.Faults());
        Assert.Equal(["The test share is 0 %; give every part 1 to 98 %, so that none is empty."], new SplitForm { Train = 90, Test = 0 }.Faults());
    }

    [Fact]
    public async Task A_version_of_another_project_cannot_be_split_and_a_labeler_may_not_freeze()
    {
        var owner = await app.NewPerson();
        var other = await app.NewProject(await app.NewPerson());
        var project = await app.NewProject(owner);
        await app.NewVersion(other, Rows.Of(("a", 40), ("b", 40)));
        await Assert.ThrowsAsync<ArgumentException>(() => Freeze(owner, project, new() { VersionNumber = 1 }));
        var labeler = await app.NewPerson();
        await app.Grant(other, labeler, Role.Labeler);
        Assert.Equal(Denial.RoleMissing, (await Assert.ThrowsAsync<AccessDenied>(() => Freeze(labeler, other, new() { VersionNumber = 1 }))).Denial);
    }

    [Fact, Trait("Cost", "Slow")]
    public async Task A_hundred_thousand_rows_are_split_and_written_within_seconds()
    {
        var owner = await app.NewPerson();
        var project = await app.NewProject(owner);
        var random = new Random(1);
        var version = await app.NewVersion(project, [.. Enumerable.Range(0, 100_000).Select(i => ($"message {random.Next(95_000)}", (string?)$"label {random.Next(77):00}"))]);
        var watch = Stopwatch.StartNew();
        var split = await Freeze(owner, project, new() { VersionNumber = version.Number });
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(15), $"{watch.Elapsed}");
        Assert.Equal(100_000, JsonSerializer.Deserialize<List<LabelParts>>(split.CountsJson)!.Sum(l => l.Total));
    }
}
