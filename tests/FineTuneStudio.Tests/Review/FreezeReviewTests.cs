using System.Diagnostics;
using FineTuneStudio.Datasets;
using FineTuneStudio.Projects;
using FineTuneStudio.Review;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Tests.Review;

public sealed class FreezeReviewTests(StudioFixture app) : IClassFixture<StudioFixture>
{
    private static Task<Outcome> Decide(Person person, Project project, Decision decision) => person.Do<DecideLabel, Outcome>(d => d.Handle(project.Id, decision));
    private static Task<ReviewDifference> Compare(Person person, Project project, int version) => person.Do<CompareReview, ReviewDifference>(c => c.Handle(project.Id, version));
    private static Task<DatasetVersion> Freeze(Person person, Project project, int version, long last) => person.Do<FreezeReview, DatasetVersion>(f => f.Handle(project.Id, version, last));

    private async Task<(Person Owner, Project Project, DatasetVersion Version, List<long> Ids)> Start(params (string Text, string? Label)[] rows)
    {
        var owner = await app.NewPerson("Olga Owner");
        var project = await app.NewProject(owner);
        var version = await app.NewVersion(project, rows);
        await using var db = app.Db;
        return (owner, project, version, await db.VersionRows.Where(v => v.VersionId == version.Id).OrderBy(v => v.Position).Select(v => v.RowId).ToListAsync());
    }

    [Fact]
    public async Task A_frozen_review_is_a_new_version_of_the_same_rows_with_the_difference_it_showed()
    {
        var (owner, project, version, ids) = await Start(("a", "x"), ("b", "x"), ("c", "y"), ("d", null), ("e", null));
        await Decide(owner, project, new(1, ids[0], DecisionKind.Label, 0, "y"));
        await Decide(owner, project, new(1, ids[1], DecisionKind.Label, 0, "x"));
        await Decide(owner, project, new(1, ids[2], DecisionKind.Flag, 0));
        await Decide(owner, project, new(1, ids[3], DecisionKind.Label, 0, "z", NewLabel: true));
        var difference = await Compare(owner, project, 1);
        Assert.Equal((1, 1, 0, 3, 1), (difference.Relabelled, difference.NewlyLabelled, difference.LabelsRemoved, difference.Unchanged, difference.Flagged));
        Assert.Equal([new(null, "z", 1), new("x", "y", 1)], difference.Moves);
        Assert.Equal(["z"], difference.NewLabels);

        var frozen = await Freeze(owner, project, 1, difference.LastDecisionId);
        Assert.Equal((2, VersionKind.Review, version.Id, 5, 4), (frozen.Number, frozen.Kind, frozen.ParentId, frozen.RowCount, frozen.LabeledCount));
        Assert.Equal("""[{"Name":"x","Count":1},{"Name":"y","Count":2},{"Name":"z","Count":1}]""", frozen.LabelsJson);
        await using var db = app.Db;
        var rows = await db.VersionRows.Where(v => v.VersionId == frozen.Id).OrderBy(v => v.Position).ToListAsync();
        Assert.Equal(ids, rows.Select(r => r.RowId));
        Assert.Equal(["y", "x", "y", "z", null], rows.Select(r => r.Label));
        Assert.Equal(["x", "x", "y", null, null], await db.VersionRows.Where(v => v.VersionId == version.Id).OrderBy(v => v.Position).Select(r => r.Label).ToListAsync());
        using var hash = new VersionHash();
        foreach (var (row, text) in rows.Zip(["a", "b", "c", "d", "e"])) hash.Append(row.RowId, text, null, row.Label);
        Assert.Equal(hash.Finish(), frozen.ContentHash);
        var after = await owner.Do<CompareReview, ReviewDifference?>(c => c.WithParent(project.Id, 2));
        Assert.Equal(difference.Moves, after!.Moves);
        Assert.Contains(await db.Events.Where(e => e.ProjectId == project.Id).ToListAsync(), e => e.Text == "froze the review of version 1 as version 2: 1 relabelled, 1 newly labelled");

        // What was decided stays decided in the review of the new version, with its history.
        var sheet = await owner.Do<OpenReview, OpenReview.Sheet?>(o => o.Handle(project.Id, null));
        Assert.Equal(new(5, 3, 1, 1, 0), sheet!.Progress);
        Assert.True((await owner.Do<ShowRow, ReviewedRow?>(s => s.Handle(project.Id, 2, ids[2])))!.Flagged);
        var row0 = await owner.Do<ShowRow, ReviewedRow?>(s => s.Handle(project.Id, 2, ids[0]));
        var late = await Assert.ThrowsAsync<ArgumentException>(() => Freeze(owner, project, 1, difference.LastDecisionId));
        Assert.Equal("Version 2 was frozen from version 1 meanwhile; review version 2, so that nothing decided there is lost.", late.Message);
        Assert.Equal(("y", true, 0L, 1), (row0!.Label, row0.Decided, row0.LastId, row0.History[0].Version));
    }

    [Fact]
    public async Task Freezing_stops_when_a_decision_came_in_after_the_difference_was_shown()
    {
        var (owner, project, _, ids) = await Start(("a", "x"), ("b", "y"));
        await Decide(owner, project, new(1, ids[0], DecisionKind.Label, 0, "y"));
        var difference = await Compare(owner, project, 1);
        await Decide(owner, project, new(1, ids[1], DecisionKind.Label, 0, "x"));
        var refused = await Assert.ThrowsAsync<ArgumentException>(() => Freeze(owner, project, 1, difference.LastDecisionId));
        Assert.Equal("1 more decisions came in since you looked at the difference. Look at it again, then freeze.", refused.Message);
    }

    [Fact]
    public async Task A_review_without_a_change_is_not_frozen()
    {
        var (owner, project, _, ids) = await Start(("a", "x"), ("b", "y"));
        Assert.Equal("Nothing has been decided about version 1 yet, so there is nothing to freeze.", (await Assert.ThrowsAsync<ArgumentException>(() => Freeze(owner, project, 1, 0))).Message);
        var kept = await Decide(owner, project, new(1, ids[0], DecisionKind.Label, 0, "x"));
        Assert.Equal("All 1 decided rows keep the label they have: version 1 is the reviewed set already.", (await Assert.ThrowsAsync<ArgumentException>(() => Freeze(owner, project, 1, kept.Row.LastId))).Message);
        var labeler = await app.NewPerson();
        await app.Grant(project, labeler, Role.Labeler);
        Assert.Equal(Denial.RoleMissing, (await Assert.ThrowsAsync<AccessDenied>(() => Freeze(labeler, project, 1, kept.Row.LastId))).Denial);
    }

    [Fact, Trait("Cost", "Slow")]
    public async Task A_hundred_thousand_rows_are_reviewed_and_frozen_within_seconds()
    {
        var (owner, project, _, ids) = await Start([.. Enumerable.Range(0, 100_000).Select(i => ($"message {i}", (string?)$"label {i % 77:00}"))]);
        for (var i = 0; i < 5; i++)
            await owner.Do<RelabelRows, RelabelRows.Result>(r => r.Handle(project.Id, 1, [.. ids.Skip(i * 200).Take(200).Select(id => new RelabelRows.Seen(id, 0))], "label 00", "Planted."));
        var watch = Stopwatch.StartNew();
        Assert.Equal(99_000, (await owner.Do<FindRows, FindRows.Queue>(f => f.Handle(project.Id, 1, new()))).Total);
        var difference = await Compare(owner, project, 1);
        Assert.Equal(987, difference.Changed);
        await Freeze(owner, project, 1, difference.LastDecisionId);
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(15), $"{watch.Elapsed}");
    }
}
