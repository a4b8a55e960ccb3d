using System.Text;
using FineTuneStudio.Datasets;
using FineTuneStudio.Projects;
using FineTuneStudio.Splits;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace FineTuneStudio.Tests.Datasets;

public sealed class ImportTests(StudioFixture app) : IClassFixture<StudioFixture>
{
    [SkippableFact]
    public async Task Banking77_comes_in_with_all_its_rows_and_labels_in_ordinal_order()
    {
        var path = Shared.Find("data/text-classification/banking77/train.csv");
        var (owner, project) = await NewOwner("Banking");
        var version = await Import(project, owner, path, "train.csv");
        Assert.Equal((1, 10_003, 10_003), (version.Number, version.RowCount, version.LabeledCount));
        var labels = LabelCount.FromJson(version.LabelsJson);
        Assert.Equal(77, labels.Count);
        Assert.Equal(10_003, labels.Sum(l => l.Count));
        Assert.Equal(labels.Select(l => l.Name).Order(StringComparer.Ordinal), labels.Select(l => l.Name));

        await using var db = app.Db;
        var rows = await (from p in db.VersionRows where p.VersionId == version.Id join r in db.Rows on p.RowId equals r.Id orderby p.Position select new { r.Id, r.Text, r.AttributesJson, p.Label, r.TextKey }).ToListAsync();
        using var hash = new VersionHash();
        foreach (var row in rows) hash.Append(row.Id, row.Text, row.AttributesJson, row.Label);
        Assert.Equal(version.ContentHash, hash.Finish());
        Assert.Equal(("I am still waiting on my card?", "card_arrival"), (rows[0].Text, rows[0].Label));
        Assert.Equal(TextKey.Of("  i am STILL waiting\ton my card? "), rows[0].TextKey);

        var page = await owner.Do<ShowVersion, ShowVersion.Page>(s => s.Rows(project.Id, 1, new(Search: "exchange rate")));
        Assert.All(page.Rows, r => Assert.Contains("exchange rate", r.Text, StringComparison.OrdinalIgnoreCase));
        Assert.True(page.Matching > 100);
    }

    [SkippableFact]
    public void The_shared_tables_are_told_apart()
    {
        void Reads(string path, FileFormat format, int rows, int labels, int rejected = 0)
        {
            var full = Shared.Find(path);
            using var file = File.OpenRead(full);
            var look = Tables.See(file, Path.GetFileName(full));
            Assert.Equal(format, look.Format);
            var counts = ExamineFile.CountRows(file, look.Format!, look.Mapping, SingleLabelAnswers.All, null, default);
            Assert.Equal((rows, labels, rejected), (counts.Rows, counts.Labels.Count, counts.Rejected));
        }
        Reads("data/text-classification/goemotions/dev.tsv", new(FileKind.Delimited, "utf-8", '\t', '"', 0), 5426, 296);
        Reads("data/text-classification/sentiment-labelled-sentences/imdb_labelled.txt", new(FileKind.Delimited, "utf-8", '\t', null, 0), 1000, 2);
        Reads("data/sft/gsm8k/test.jsonl", new(FileKind.JsonLines, "utf-8", HeaderRows: 0), 1319, 0);
        Reads("data/fairness/wiki-toxicity-identity/toxicity_nonfuzzed_testset.csv", new(FileKind.Delimited, "utf-8"), 1492, 2);
    }

    [SkippableFact]
    public void A_survey_that_is_not_UTF_8_and_has_two_header_rows_is_read_and_said_so()
    {
        var path = Shared.Find("data/tabular/starwars-survey-messy/StarWars.csv");
        using var file = File.OpenRead(path);
        var look = Tables.See(file, "StarWars.csv");
        Assert.Equal(new(FileKind.Delimited, "windows-1252", ',', '"', 2), look.Format);
        Assert.StartsWith("The file is not UTF-8 (line 1 has a byte that UTF-8 does not allow). It is read as Windows-1252;", look.Notices[0]);
        Assert.Equal(38, look.Columns.Count);
        Assert.Equal("Have you seen any of the 6 films in the Star Wars franchise? / Response", look.Columns[1]);
        Assert.Equal(1186, ReadTable.Rows(file, look.Format!, look.Columns).Count(r => r.Fault is null));
    }

    [Fact]
    public async Task Rejected_rows_are_kept_and_come_down_as_CSV_in_which_nothing_is_a_formula()
    {
        var (owner, project) = await NewOwner("Rejections");
        var version = await Import(project, owner, Write("bad.csv", "text,label\ngood,a\n=cmd|' /C calc'!A0\n\"broken \"quote\",b\n\t,a\nlast,b\n"), "bad.csv");
        Assert.Equal(2, version.RowCount);
        using var http = await ServerToKill.SignedIn(app.Url, owner.Mail);
        var csv = await http.GetStringAsync($"/api/p/{project.Id}/imports/{version.ImportId}/rejected.csv");
        Assert.Equal(""""
            file,line,column,found,reason
            "bad.csv",3,,"'=cmd|' /C calc'!A0","The row has 1 cell; the file has 2 columns. A quote or a delimiter may be missing."
            "bad.csv",4,1,"""broken ""quote"",b","A quoted cell goes on after its closing quote; double the quotes inside the cell."
            "bad.csv",5,1,"'	","The text in “text” is empty."

            """".ReplaceLineEndings("\r\n"), csv.TrimStart('\uFEFF'));

        var viewer = await app.NewPerson("Vera Viewer");
        await app.Grant(project, viewer, Role.Viewer);
        using var hers = await ServerToKill.SignedIn(app.Url, viewer.Mail);
        Assert.Equal(System.Net.HttpStatusCode.Forbidden, (await hers.GetAsync($"/api/p/{project.Id}/imports/{version.ImportId}/rejected.csv")).StatusCode);
    }

    [Fact]
    public async Task Labels_of_the_test_part_are_locked_until_there_is_a_report()
    {
        var (owner, project) = await NewOwner("Locked");
        var version = await Import(project, owner, Write("locked.csv", "text,label\none,a\ntwo,b\nthree,a\nfour,b\n"), "locked.csv");
        await using var db = app.Db;
        var ids = await db.VersionRows.Where(r => r.VersionId == version.Id).OrderBy(r => r.Position).Select(r => r.RowId).ToListAsync();
        var split = new Split { ProjectId = project.Id, Number = 1, VersionId = version.Id, Seed = 1, TrainShare = .5, ValidationShare = .25, TestShare = .25, CountsJson = "[]", Hash = "h", CreatedById = owner.Id, CreatedAt = DateTime.UtcNow };
        db.Splits.Add(split);
        await db.SaveChangesAsync();
        foreach (var (id, part) in ids.Zip([SplitPart.Test, SplitPart.Train, SplitPart.Validation, SplitPart.Train])) db.SplitRows.Add(new() { SplitId = split.Id, RowId = id, Part = part });
        await db.SaveChangesAsync();

        var page = await owner.Do<ShowVersion, ShowVersion.Page>(s => s.Rows(project.Id, 1, new()));
        Assert.Equal([(null, true), ("b", false), ("a", false), ("b", false)], page.Rows.Select(r => (r.Label, r.Locked)));
        Assert.Equal(["three"], (await owner.Do<ShowVersion, ShowVersion.Page>(s => s.Rows(project.Id, 1, new(Label: "a")))).Rows.Select(r => r.Text));
        Assert.Equal(1, (await owner.Do<ShowVersion, ShowVersion.Facts?>(s => s.Handle(project.Id, 1)))!.LockedRows);

        await db.Database.ExecuteSqlAsync($"INSERT INTO Runs (Kind, ProjectId, Number, SplitId, BaseModelId, RecipeJson, RecipeHash, LaunchedById, QueuedAt, State, StepsDone, TotalSteps) VALUES ({FineTuneStudio.Runs.Run.Runs}, {project.Id}, 1, {split.Id}, 1, '', '', {owner.Id}, '2026-01-01', 'Finished', 1, 1)");
        await db.Database.ExecuteSqlAsync($"INSERT INTO Reports (ProjectId, Number, RunId, State, BuiltById, BuiltAt) SELECT {project.Id}, 1, Id, 'Ready', {owner.Id}, '2026-01-01' FROM Runs WHERE ProjectId = {project.Id}");
        Assert.Equal("a", (await owner.Do<ShowVersion, ShowVersion.Page>(s => s.Rows(project.Id, 1, new()))).Rows[0].Label);
    }

    [Fact]
    public async Task A_reviewed_version_says_what_it_changed()
    {
        var (owner, project) = await NewOwner("Difference");
        var first = await Import(project, owner, Write("d.csv", "text,label\none,a\ntwo,b\nthree,\nfour,b\n"), "d.csv");
        await using var db = app.Db;
        var ids = await db.VersionRows.Where(r => r.VersionId == first.Id).OrderBy(r => r.Position).Select(r => r.RowId).ToListAsync();
        var second = new DatasetVersion { ProjectId = project.Id, Number = 2, Kind = VersionKind.Review, ParentId = first.Id, Note = "reviewed", RowCount = 3, LabeledCount = 3, LabelsJson = "[]", ContentHash = "h", CreatedById = owner.Id, CreatedAt = DateTime.UtcNow };
        db.Versions.Add(second);
        await db.SaveChangesAsync();
        foreach (var (id, n, label) in new[] { (ids[0], 0, "b"), (ids[1], 1, "b"), (ids[2], 2, "a") }) db.VersionRows.Add(new() { VersionId = second.Id, RowId = id, Position = n, Label = label });
        await db.SaveChangesAsync();
        var facts = await owner.Do<ShowVersion, ShowVersion.Facts?>(s => s.Handle(project.Id, 2));
        Assert.Equal(new ShowVersion.Difference(1, 1, 0, 1), facts!.Difference);
    }

    [Fact]
    public async Task An_import_that_fails_or_is_stopped_leaves_no_row_behind()
    {
        var (owner, project) = await NewOwner("Nothing left");
        var path = Write("many.csv", "text,label\n" + string.Concat(Enumerable.Range(0, 9000).Select(i => $"message {i},label {i}\n")));
        var failed = await Assert.ThrowsAsync<DataFileException>(() => Import(project, owner, path, "many.csv"));
        Assert.Equal("The label column holds more than 2000 different values; that is text, not a label. Choose another column.", failed.Message);

        await using var db = app.Db;
        var import = await db.Imports.SingleAsync(i => i.ProjectId == project.Id);
        await owner.Do<StartImport>(s => s.Handle(project.Id, import.Id, new(FileKind.Delimited, "utf-8"), new([new("text", ColumnRole.Text), new("label", ColumnRole.Label)])));
        StartImport.Status status;
        do { await Task.Delay(50); status = await owner.Do<StartImport, StartImport.Status>(s => s.Watch(project.Id, import.Id)); } while (status.Import.State == ImportState.Importing);
        Assert.Equal((ImportState.Failed, failed.Message), (status.Import.State, status.Import.Problem));
        Assert.Empty(await db.Rows.AsNoTracking().Where(r => r.ProjectId == project.Id).ToListAsync());
        Assert.Empty(await db.Versions.AsNoTracking().Where(v => v.ProjectId == project.Id).ToListAsync());
        await owner.Do<ReceiveFile>(r => r.Discard(project.Id, import.Id));
        Assert.False(File.Exists(Path.Combine(app.Folder, "uploads", import.StoredAs)));
    }

    [Fact]
    public async Task A_mapping_that_names_a_missing_column_is_refused()
    {
        var (owner, project) = await NewOwner("Missing column");
        var mapping = new ColumnMapping([new("text", ColumnRole.Text), new("category", ColumnRole.Label)]);
        var refused = await Assert.ThrowsAsync<DataFileException>(() => Import(project, owner, Write("c.csv", "text,label\nx,a\n"), "c.csv", mapping));
        Assert.Equal("The file has no column “category”; its columns are “text”, “label”.", refused.Message);
    }

    private async Task<(Person, Project)> NewOwner(string name)
    {
        var owner = await app.NewPerson(name);
        return (owner, await app.NewProject(owner, name + " project"));
    }

    private async Task<DatasetVersion> Import(Project project, Person owner, string path, string name, ColumnMapping? mapping = null)
    {
        await using var scope = owner.Scope();
        return await scope.ServiceProvider.GetRequiredService<ImportFile>().Handle(project.Id, owner.Id, path, name, mapping);
    }

    private string Write(string name, string text)
    {
        var path = Path.Combine(app.Folder, name);
        File.WriteAllText(path, text, new UTF8Encoding(false));
        return path;
    }
}
