using FineTuneStudio.Datasets;
using FineTuneStudio.Projects;
using FineTuneStudio.Review;
using FineTuneStudio.Splits;
using Microsoft.EntityFrameworkCore;
using Show = FineTuneStudio.Review.Show;

namespace FineTuneStudio.Tests.Review;

public sealed class DecideLabelTests(StudioFixture app) : IClassFixture<StudioFixture>
{
    private static Task<Outcome> Decide(Person person, Project project, Decision decision) => person.Do<DecideLabel, Outcome>(d => d.Handle(project.Id, decision));
    private static Task<Outcome?> Undo(Person person, Project project, int version) => person.Do<UndoDecision, Outcome?>(u => u.Handle(project.Id, version));
    private static Task<ReviewedRow?> Row(Person person, Project project, int version, long id) => person.Do<ShowRow, ReviewedRow?>(s => s.Handle(project.Id, version, id));
    private static Task<FindRows.Queue> Queue(Person person, Project project, int version, RowFilter? filter = null) => person.Do<FindRows, FindRows.Queue>(f => f.Handle(project.Id, version, filter ?? new()));
    private static Task<OpenReview.Sheet?> Sheet(Person person, Project project, int? version = null) => person.Do<OpenReview, OpenReview.Sheet?>(o => o.Handle(project.Id, version));
    private static Task<string> Refused(Func<Task> work) => Assert.ThrowsAsync<ArgumentException>(work).ContinueWith(t => t.Result.Message);

    private async Task<(Person Owner, Project Project, DatasetVersion Version, List<long> Ids)> Start(params (string Text, string? Label)[] rows)
    {
        var owner = await app.NewPerson("Olga Owner");
        var project = await app.NewProject(owner);
        var version = await app.NewVersion(project, rows);
        await using var db = app.Db;
        return (owner, project, version, await db.VersionRows.Where(v => v.VersionId == version.Id).OrderBy(v => v.Position).Select(v => v.RowId).ToListAsync());
    }

    [Fact]
    public async Task A_decision_records_who_when_from_to_and_why()
    {
        var (owner, project, version, ids) = await Start(("where is it", "payment"), ("pay how", "delivery"));
        var outcome = await Decide(owner, project, new(1, ids[0], DecisionKind.Label, 0, "delivery", "It is about a parcel."));
        Assert.True(outcome.Saved);
        Assert.Equal(("delivery", true, "payment"), (outcome.Row.Label, outcome.Row.Decided, outcome.Row.Original));
        await using var db = app.Db;
        var written = await db.Decisions.SingleAsync(d => d.VersionId == version.Id);
        Assert.Equal((owner.Id, "payment", "delivery", "It is about a parcel.", 0L), (written.UserId, written.From, written.To, written.Why, written.AfterId));
        Assert.InRange(written.At, DateTime.UtcNow.AddMinutes(-1), DateTime.UtcNow.AddSeconds(1));
        Assert.Equal("payment", await db.VersionRows.Where(v => v.RowId == ids[0]).Select(v => v.Label).SingleAsync());
    }

    [Fact]
    public async Task The_second_of_two_people_on_one_row_is_told_who_decided_what_and_overwrites_nothing()
    {
        var (owner, project, version, ids) = await Start(("a", "x"), ("b", "y"));
        var ben = await app.NewPerson("Ben Reviewer");
        await app.Grant(project, ben, Role.Reviewer);
        await Decide(ben, project, new(1, ids[0], DecisionKind.Label, 0, "y", "Clearly y."));

        var outcome = await Decide(owner, project, new(1, ids[0], DecisionKind.Label, 0, "x"));
        Assert.False(outcome.Saved);
        var other = Assert.Single(outcome.Meanwhile);
        Assert.Equal(("Ben Reviewer", "x", "y", "Clearly y."), (other.By, other.From, other.To, other.Why));
        Assert.Equal("y", outcome.Row.Label);

        Assert.True((await Decide(owner, project, new(1, ids[0], DecisionKind.Label, outcome.Row.LastId, "x"))).Saved);
        Assert.Equal(["Ben Reviewer", "Olga Owner"], (await Row(owner, project, 1, ids[0]))!.History.Select(h => h.By));
    }

    [Fact]
    public async Task Of_many_who_decide_at_once_exactly_one_is_written()
    {
        var (owner, project, version, ids) = await Start(("a", "x"), ("b", "y"));
        var outcomes = await Task.WhenAll(Enumerable.Range(0, 12).Select(i => Task.Run(() => Decide(owner, project, new(1, ids[0], DecisionKind.Label, 0, i % 2 == 0 ? "x" : "y")))));
        Assert.Single(outcomes, o => o.Saved);
        await using var db = app.Db;
        Assert.Equal(1, await db.Decisions.CountAsync(d => d.VersionId == version.Id));
    }

    [Fact]
    public async Task An_undo_is_appended_and_goes_back_step_by_step_through_ones_own_labels()
    {
        var (owner, project, version, ids) = await Start(("a", null), ("b", "y"), ("c", "x"));
        await Decide(owner, project, new(1, ids[0], DecisionKind.Label, 0, "x"));
        var second = await Decide(owner, project, new(1, ids[1], DecisionKind.Label, 0, "x"));
        await Decide(owner, project, new(1, ids[1], DecisionKind.Label, second.Row.LastId, "y"));

        Assert.Equal((ids[1], "x", true), ((await Undo(owner, project, 1)) is { } u ? (u.Row.RowId, u.Row.Label, u.Row.Decided) : default));
        Assert.Equal((ids[1], "y", false), ((await Undo(owner, project, 1)) is { } v ? (v.Row.RowId, v.Row.Label, v.Row.Decided) : default));
        Assert.Equal((ids[0], null, false), ((await Undo(owner, project, 1)) is { } w ? (w.Row.RowId, w.Row.Label, w.Row.Decided) : default));
        Assert.Null(await Undo(owner, project, 1));
        await using var db = app.Db;
        Assert.Equal(6, await db.Decisions.CountAsync(d => d.VersionId == version.Id));
    }

    [Fact]
    public async Task An_undo_never_takes_back_what_another_decided_later()
    {
        var (owner, project, _, ids) = await Start(("a", "x"), ("b", "y"));
        var ben = await app.NewPerson("Ben Reviewer");
        await app.Grant(project, ben, Role.Labeler);
        var mine = await Decide(owner, project, new(1, ids[0], DecisionKind.Label, 0, "y"));
        await Decide(ben, project, new(1, ids[0], DecisionKind.Label, mine.Row.LastId, "x"));
        var undo = await Undo(owner, project, 1);
        Assert.False(undo!.Saved);
        Assert.Equal("Ben Reviewer", Assert.Single(undo.Meanwhile).By);
        Assert.Equal("x", (await Row(owner, project, 1, ids[0]))!.Label);
    }

    [Fact]
    public async Task The_queue_has_unlabelled_rows_first_then_flagged_then_undecided_and_forgets_decided_ones()
    {
        var (owner, project, _, ids) = await Start(("one", "x"), ("two", "y"), ("three", null), ("four", "x"));
        await Decide(owner, project, new(1, ids[3], DecisionKind.Flag, 0));
        Assert.Equal([ids[2], ids[3], ids[0], ids[1]], (await Queue(owner, project, 1)).Ids);
        await Decide(owner, project, new(1, ids[2], DecisionKind.Label, 0, "y"));
        await Decide(owner, project, new(1, ids[0], DecisionKind.Label, 0, "x"));
        Assert.Equal([ids[3], ids[1]], (await Queue(owner, project, 1)).Ids);
        Assert.Equal([ids[3]], (await Queue(owner, project, 1, new(Show.Flagged))).Ids);
        Assert.Equal([ids[1], ids[2]], (await Queue(owner, project, 1, new(Show.All, Label: "y"))).Ids.Order());
        Assert.Equal([ids[1]], (await Queue(owner, project, 1, new(Show.All, Text: "TW"))).Ids);
        Assert.Empty((await Queue(owner, project, 1, new(Show.All, Text: "%"))).Ids);
        Assert.Empty((await Queue(owner, project, 1, new(Show.Unlabelled))).Ids);
        Assert.Equal(new(4, 2, 0, 1, 0), (await Sheet(owner, project))!.Progress);
    }

    [Fact]
    public async Task Texts_that_occur_with_two_labels_can_be_gone_through_side_by_side()
    {
        var (owner, project, _, ids) = await Start(("Same", "x"), ("other", "y"), ("same", "y"), ("third", "x"));
        Assert.Equal([ids[0], ids[2]], (await Queue(owner, project, 1, new(Show.Disagreeing))).Ids);
        await Decide(owner, project, new(1, ids[2], DecisionKind.Label, 0, "x"));
        Assert.Empty((await Queue(owner, project, 1, new(Show.Disagreeing))).Ids);
    }

    [Fact]
    public async Task A_new_label_needs_a_second_look_and_a_role_that_shapes_the_label_set()
    {
        var (owner, project, _, ids) = await Start(("a", "refund"), ("b", "y"));
        var labeler = await app.NewPerson("Lena Labeler");
        await app.Grant(project, labeler, Role.Labeler);
        Assert.Equal("“refnd” is not a label here. Choose one from the list; an owner, engineer or reviewer of the project can add a new one.",
            await Refused(() => Decide(labeler, project, new(1, ids[0], DecisionKind.Label, 0, "refnd", NewLabel: true))));
        Assert.Equal("“exchange” is not a label here yet. Confirm that you want to add it.", await Refused(() => Decide(owner, project, new(1, ids[0], DecisionKind.Label, 0, "exchange"))));
        Assert.Equal("There is a label “refund” already; “Refund” differs only in capitals.", await Refused(() => Decide(owner, project, new(1, ids[0], DecisionKind.Label, 0, "Refund", NewLabel: true))));
        Assert.True((await Decide(owner, project, new(1, ids[0], DecisionKind.Label, 0, "exchange", NewLabel: true))).Saved);
        Assert.True((await Decide(labeler, project, new(1, ids[1], DecisionKind.Label, 0, "exchange"))).Saved);
        Assert.Equal(["exchange", "refund", "y"], (await Sheet(owner, project))!.Labels);
    }

    [Fact]
    public async Task A_label_that_stands_in_the_data_can_be_kept_whatever_it_looks_like()
    {
        var (longest, broken) = (new string('l', 201), "two\nlines");
        var (owner, project, _, ids) = await Start(("a", longest), ("b", broken), ("c", "y"));
        Assert.True((await Decide(owner, project, new(1, ids[0], DecisionKind.Label, 0, longest))).Saved);
        Assert.True((await Decide(owner, project, new(1, ids[1], DecisionKind.Label, 0, broken))).Saved);
        Assert.Equal("A label has 1 to 200 characters on one line; this one has 202.", await Refused(() => Decide(owner, project, new(1, ids[2], DecisionKind.Label, 0, longest + "l", NewLabel: true))));
        Assert.True((await Decide(owner, project, new(1, ids[2], DecisionKind.Label, 0, longest[..200], NewLabel: true))).Saved);
    }

    [Fact]
    public async Task Rows_of_a_frozen_test_part_are_neither_shown_nor_decided_and_the_page_says_why()
    {
        var (owner, project, version, ids) = await Start([.. Rows.Of(("x", 40), ("y", 40), (null, 4))]);
        await owner.Do<FreezeSplit, Split>(f => f.Handle(project.Id, new() { VersionNumber = 1 }));
        await using var db = app.Db;
        var locked = await db.SplitRows.Where(s => s.Part == SplitPart.Test && ids.Contains(s.RowId)).Select(s => s.RowId).ToListAsync();
        Assert.Equal(8, locked.Count);
        Assert.Empty((await Queue(owner, project, 1, new(Show.All))).Ids.Intersect(locked));
        Assert.Equal(76, (await Queue(owner, project, 1, new(Show.All))).Total);
        Assert.Null(await Row(owner, project, 1, locked[0]));
        const string why = "This row is locked: it is in the test part of split 1. Its label is neither shown nor changed before a report reads it, so that the test stays honest.";
        Assert.Equal(why, await Refused(() => Decide(owner, project, new(1, locked[0], DecisionKind.Label, 0, "x"))));
        Assert.Equal(why, await Refused(() => owner.Do<RelabelRows, RelabelRows.Result>(r => r.Handle(project.Id, 1, [new(locked[0], 0)], "x", "Because."))));
        var sheet = (await Sheet(owner, project))!;
        Assert.Equal("8 rows are locked: they are the test part of split 1. Their labels are neither shown nor changed before a report reads them, so that the test stays honest.", sheet.Locked);
        Assert.Equal(new(76, 0, 4, 0, 8), sheet.Progress);
    }

    [Fact]
    public async Task Many_rows_get_one_label_for_one_reason_and_rows_that_others_decided_are_left_alone()
    {
        var (owner, project, _, ids) = await Start(("a", "x"), ("b", "x"), ("c", "x"), ("d", "y"));
        var ben = await app.NewPerson("Ben Reviewer");
        await app.Grant(project, ben, Role.Reviewer);
        await Decide(ben, project, new(1, ids[1], DecisionKind.Label, 0, "x"));
        var rows = ids.Take(3).Select(id => new RelabelRows.Seen(id, 0)).ToList();
        Assert.Equal("Say why these rows get this label; the reason is kept with each of them.", await Refused(() => owner.Do<RelabelRows, RelabelRows.Result>(r => r.Handle(project.Id, 1, rows, "y", " "))));
        var result = await owner.Do<RelabelRows, RelabelRows.Result>(r => r.Handle(project.Id, 1, rows, "y", "All about y."));
        Assert.Equal(2, result.Saved);
        Assert.Equal(ids[1], Assert.Single(result.Meanwhile).Row.RowId);
        var row = (await Row(owner, project, 1, ids[0]))!;
        Assert.Equal(("y", "All about y."), (row.Label, Assert.Single(row.History).Why));
        Assert.Equal("x", (await Row(owner, project, 1, ids[1]))!.Label);
    }

    [Fact]
    public async Task Comments_and_flags_stay_with_the_row_and_an_empty_comment_is_refused()
    {
        var (owner, project, _, ids) = await Start(("a", "x"), ("b", "y"));
        Assert.Equal("The comment is empty; write what the others should know.", await Refused(() => Decide(owner, project, new(1, ids[0], DecisionKind.Comment, 0, Why: " "))));
        var flagged = await Decide(owner, project, new(1, ids[0], DecisionKind.Flag, 0));
        var said = await Decide(owner, project, new(1, ids[0], DecisionKind.Comment, flagged.Row.LastId, Why: "Which parcel?"));
        Assert.Equal((true, false, "x"), (said.Row.Flagged, said.Row.Decided, said.Row.Label));
        Assert.False((await Decide(owner, project, new(1, ids[0], DecisionKind.Unflag, said.Row.LastId))).Row.Flagged);
    }

    [Fact]
    public async Task A_row_of_another_project_cannot_be_reached()
    {
        var (owner, project, _, _) = await Start(("a", "x"), ("b", "y"));
        var (_, _, _, theirs) = await Start(("secret", "x"), ("b", "y"));
        Assert.Null(await Row(owner, project, 1, theirs[0]));
        await Refused(() => Decide(owner, project, new(1, theirs[0], DecisionKind.Label, 0, "x")));
        await Refused(() => Decide(owner, project, new(7, theirs[0], DecisionKind.Label, 0, "x")));
    }
}
