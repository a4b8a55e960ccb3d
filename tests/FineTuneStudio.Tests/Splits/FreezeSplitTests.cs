using System.Diagnostics;
using System.Text.Json;
using FineTuneStudio.Checklists;
using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.Training;
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
            "1 text occurs with different labels (2 rows). The rows of such a text stay in one part, but at least one of them is labelled wrongly: settle them in the review first.",
            "Too rare to be in every part, with fewer than 3 rows: “rare” (2). They stay whole in the training part, so nothing will be known about how well they are recognised.",
            "Not in every part, because their rows repeat too few different texts: “lump” (3). Add examples that are worded differently.",
        ], preview.Warnings);
        Assert.Equal((3, 2), (preview.KeptTogether, preview.Conflicting));
    }

    [Fact]
    public async Task Rows_of_a_text_with_two_labels_are_listed_with_their_numbers_and_a_text_with_a_locked_one_is_not()
    {
        var owner = await app.NewPerson();
        await app.NewVersion(await app.NewProject(owner), Rows.Of(("a", 5), ("b", 5)));
        var project = await app.NewProject(owner);
        var version = await app.NewVersion(project, [("Same text", "a"), ("Other text", "b"), .. Rows.Of(("a", 20), ("b", 20)), ("same  text", "b"), ("other text", "b"), ("=late", "a"), ("=late", "b")]);
        Task<ListConflicts.Beginning> First() => owner.Do<ListConflicts, ListConflicts.Beginning>(l => l.First(project.Id, version.Number));
        Assert.Equal([new(1, "Same text", "a"), new(43, "same  text", "b"), new(45, "=late", "a"), new(46, "=late", "b")], (await First()).Rows);
        using var csv = new MemoryStream();
        Assert.True(await owner.Do<ListConflicts, bool>(l => l.Download(project.Id, version.Number, () => csv)));
        Assert.Equal("row,text,answer\r\n1,\"Same text\",\"a\"\r\n43,\"same  text\",\"b\"\r\n45,\"'=late\",\"a\"\r\n46,\"'=late\",\"b\"\r\n", System.Text.Encoding.UTF8.GetString(csv.ToArray()).TrimStart('\uFEFF'));
        Assert.False(await owner.Do<ListConflicts, bool>(l => l.Download(project.Id, 99, () => csv)));

        var split = await Freeze(owner, project, new() { VersionNumber = version.Number });
        await using (var db = app.Db)
        {
            await db.SplitRows.Where(r => r.SplitId == split.Id).ExecuteUpdateAsync(u => u.SetProperty(r => r.Part, SplitPart.Train));
            await db.SplitRows.Where(r => r.SplitId == split.Id && db.VersionRows.Any(v => v.VersionId == version.Id && v.RowId == r.RowId && v.Position == 42)).ExecuteUpdateAsync(u => u.SetProperty(r => r.Part, SplitPart.Test));
        }
        // The other row of the text would tell what the locked one is not.
        var beginning = await First();
        Assert.Equal([45, 46], beginning.Rows.Select(r => r.Number));
        Assert.Equal(2, beginning.All);
        Assert.Equal(2, (await Preview(owner, project, new() { VersionNumber = version.Number })).Conflicting);
        using var less = new MemoryStream();
        await owner.Do<ListConflicts, bool>(l => l.Download(project.Id, version.Number, () => less));
        Assert.DoesNotContain("ame", System.Text.Encoding.UTF8.GetString(less.ToArray()));
    }

    [Fact]
    public async Task A_text_in_a_locked_test_part_is_counted_by_no_page_whatever_upload_its_other_label_came_with()
    {
        var owner = await app.NewPerson();
        var project = await app.NewProject(owner);
        var first = await app.NewVersion(project, [("Locked text", "a"), .. Rows.Of(("a", 20), ("b", 20))]);
        var split = await Freeze(owner, project, new() { VersionNumber = first.Number });
        await using (var db = app.Db)
            await db.SplitRows.Where(r => r.SplitId == split.Id).ExecuteUpdateAsync(u => u.SetProperty(r => r.Part, SplitPart.Test));
        var second = await app.NewVersion(project, [("Locked text", "a"), ("locked  text", "b"), ("Open text", "a"), ("open text", "b"), .. Rows.Of(("a", 20), ("b", 20))]);
        Assert.Equal(["Open text", "open text"], (await owner.Do<ListConflicts, ListConflicts.Beginning>(l => l.First(project.Id, second.Number))).Rows.Select(r => r.Text));
        Assert.Equal(2, (await Preview(owner, project, new() { VersionNumber = second.Number })).Conflicting);
    }

    [Fact]
    public async Task Spans_contradict_each_other_by_the_words_they_hold_and_are_listed_with_them()
    {
        var owner = await app.NewPerson();
        var project = await app.NewProject(owner, "Spans apart", TextTask.TokenClassification);
        string Span(int start, int end) => NamedSpan.ToJson([new(start, end, "person")]);
        var version = await app.NewVersion(project, [.. Enumerable.Range(0, 20).Select(i => ($"Anna {i}", (string?)Span(0, 4))), ("So  Anna lives", Span(4, 8)), ("so anna lives", Span(3, 7)), ("Ben met Ann", Span(0, 3)), ("ben met ann", Span(8, 11))]);
        Assert.Equal(["person “Ben” from 0", "person “ann” from 8"], (await owner.Do<ListConflicts, ListConflicts.Beginning>(l => l.First(project.Id, version.Number))).Rows.Select(r => r.Answer));
    }

    [Fact]
    public async Task Answers_and_not_what_a_split_counts_of_them_contradict_each_other_and_numbers_keep_their_digits()
    {
        var owner = await app.NewPerson();
        var project = await app.NewProject(owner, "Close numbers", TextTask.Regression);
        var version = await app.NewVersion(project, [.. Enumerable.Range(0, 60).Select(i => ($"text {i}", (string?)$"{i}.5")), ("Twice", "-3.1234567"), ("twice", "-3.1234568")]);
        Assert.Equal(2, (await Preview(owner, project, new() { VersionNumber = version.Number })).Conflicting);
        using var csv = new MemoryStream();
        await owner.Do<ListConflicts, bool>(l => l.Download(project.Id, version.Number, () => csv));
        Assert.EndsWith("61,\"Twice\",-3.1234567\r\n62,\"twice\",-3.1234568\r\n", System.Text.Encoding.UTF8.GetString(csv.ToArray()));
        var asked = await app.NewProject(owner, "Two answers", TextTask.Generation);
        var written = await app.NewVersion(asked, [.. Enumerable.Range(0, 10).Select(i => ($"prompt {i}", (string?)"yes")), ("Same?", "yes"), ("Same?", "no")]);
        Assert.Equal(0, (await Preview(owner, asked, new() { VersionNumber = written.Number })).Conflicting);
    }

    [Fact]
    public async Task Pairs_that_share_their_first_text_stay_in_one_part_and_the_checklist_looks_at_it()
    {
        var owner = await app.NewPerson();
        var project = await app.NewProject(owner, "Pairs of texts", TextTask.Regression);
        var version = await app.NewVersion(project, [.. Enumerable.Range(0, 120).Select(i => (TextPair.Join($"{(i % 3 == 0 ? "The" : "the")}  sentence {i / 3}", $"word {i % 3}"), (string?)$"{i % 7}.5"))]);
        var form = new SplitForm { VersionNumber = version.Number };
        var preview = await Preview(owner, project, form);
        Assert.Equal((0, 80, 0), (preview.KeptTogether, preview.SharingPart, preview.Warnings.Count));
        Assert.InRange(preview.Labels.Sum(l => l.Train), 90, 102);
        var split = await Freeze(owner, project, form);
        await using var db = app.Db;
        var parts = await (from s in db.SplitRows where s.SplitId == split.Id join r in db.Rows on s.RowId equals r.Id select new { s.RowId, s.Part, r.Text }).ToListAsync();
        Assert.All(parts.GroupBy(p => TextPair.Split(p.Text).First.ToLowerInvariant()), g => Assert.Single(g.Select(p => p.Part).Distinct()));

        async Task<Fact> Leak() => (await owner.Do<MeasureChecklist, MeasuredChecklist>(m => m.Handle(project.Id))).Lines.Single(l => l.Key == DosAndDonts.NoSkippedValidation).Facts.Single(f => f.Id == "V5");
        var clean = await Leak();
        Assert.Equal(("0 held-out rows have the same first text as a train row; where rows are pairs, their first texts are compared", FactState.Pass), (clean.Value, clean.State));
        var held = parts.First(p => p.Part == SplitPart.Test).RowId;
        await db.SplitRows.Where(s => s.SplitId == split.Id && s.RowId == held).ExecuteUpdateAsync(s => s.SetProperty(r => r.Part, SplitPart.Train));
        var leaking = await Leak();
        Assert.Equal(("2 held-out rows have the same first text as a train row; where rows are pairs, their first texts are compared", FactState.Block), (leaking.Value, leaking.State));
    }

    [Fact]
    public async Task Pairs_with_few_first_texts_cannot_keep_the_shares_which_is_said()
    {
        var owner = await app.NewPerson();
        var project = await app.NewProject(owner, "Few first texts", TextTask.Regression);
        var version = await app.NewVersion(project, [.. Enumerable.Range(0, 40).Select(i => (TextPair.Join($"sentence {i / 20}", $"word {i}"), (string?)$"{i % 4}"))]);
        Assert.Contains("The rows have only 2 different first texts, and rows with the same first text stay together: train has 100 % of the rows instead of 80 %, validation has 0 % of the rows instead of 10 %, test has 0 % of the rows instead of 10 %. Add rows with other first texts.",
            (await Preview(owner, project, new() { VersionNumber = version.Number })).Warnings);
    }

    [Fact]
    public async Task Where_there_is_no_review_unanswered_rows_are_to_be_answered_in_the_file()
    {
        var owner = await app.NewPerson();
        var project = await app.NewProject(owner, "Unanswered", TextTask.Regression);
        var version = await app.NewVersion(project, [.. Enumerable.Range(0, 30).Select(i => ($"text {i}", (string?)$"{i % 4}")), ("nobody knows", null)]);
        Assert.Contains("1 row without a number is left out. Answer it in the file and upload the file again to use it.", (await Preview(owner, project, new() { VersionNumber = version.Number })).Warnings);
        var none = await app.NewVersion(project, [("first", null), ("second", null)]);
        Assert.Equal("None of the 2 rows of this version has a number. A split divides rows with a number: answer some in the file and upload it again first.", (await Preview(owner, project, new() { VersionNumber = none.Number })).Refusal);
    }

    [Fact]
    public async Task Questions_about_one_context_stay_together_and_are_no_repetitions()
    {
        var owner = await app.NewPerson();
        var project = await app.NewProject(owner, "Contexts", TextTask.QuestionAnswering);
        var version = await app.NewVersion(project, [.. Enumerable.Range(0, 90).Select(i => (TextPair.Join($"question {i % 3}?", $"The context number {i / 3}."), (string?)QuestionAnswers.None))]);
        var preview = await Preview(owner, project, new() { VersionNumber = version.Number });
        Assert.Equal((0, 60), (preview.KeptTogether, preview.SharingPart));
        var split = await owner.Do<FreezeSplit, Split>(f => f.Handle(project.Id, new() { VersionNumber = version.Number }));
        await using var db = app.Db;
        var parts = await (from s in db.SplitRows where s.SplitId == split.Id join r in db.Rows on s.RowId equals r.Id select new { s.Part, r.Text }).ToListAsync();
        Assert.All(parts.GroupBy(p => TextPair.Split(p.Text).Second), context => Assert.Single(context.Select(c => c.Part).Distinct()));
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
