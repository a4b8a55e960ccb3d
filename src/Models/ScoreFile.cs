using System.Security.Cryptography;
using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Projects;
using FineTuneStudio.Reports;
using FineTuneStudio.Ui;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Models;

/// A person's own file through a model: received, its text column chosen, scored in the background, downloaded.
public sealed class ScoreFile(IDbContextFactory<StudioDb> databases, ProjectAccess access, StudioFolder folder, ScoringDesk desk, IConfiguration configuration, TimeProvider clock)
{
    public sealed record View(string Id, string FileName, IReadOnlyList<string> Columns, int Column, int? Second, ScoringState State, double Share, int Rows, int Unscored, string? WhyUnscored, string? Failure, IReadOnlyList<ScoredRow> First)
    {
        /// How long it still takes at the speed so far; null before there is any.
        public TimeSpan? Left { get; init; }
        /// Words with their tags, one a line, of which each sentence is a row.
        public bool IsTaggedWords { get; init; }
    }

    /// Bytes that a file to score may have.
    public long MaxBytes => configuration.GetValue("Scoring:MaxBytes", 200L << 20);

    /// Prompts that a file may have: each is answered word by word.
    public int MaxPrompts => configuration.GetValue("Scoring:MaxPrompts", 1000);

    /// Returns the id of the file.
    [Needs(Permission.UseModel)]
    public async Task<string> Receive(string projectId, int runNumber, string fileName, Stream body, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.UseModel, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        if (await ReadModel.Find(db, folder, pass.Project, runNumber, cancel) is not { } view) throw new ModelRefused($"There is no run {runNumber} in this project.");
        if (view.WhyNot is { } reason) throw new ModelRefused(reason);
        var id = RandomNumberGenerator.GetHexString(24, lowercase: true);
        var path = Path.Combine(folder.Scored, id);
        try
        {
            await using (var file = new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.None))
            {
                var buffer = new byte[1 << 16];
                for (int read; (read = await body.ReadAsync(buffer, cancel)) > 0;)
                {
                    if (file.Length + read > MaxBytes) throw new ModelRefused($"The file is larger than {Say.Count(MaxBytes >> 20)} MiB, the most that is scored at once. Split it.");
                    await file.WriteAsync(buffer.AsMemory(0, read), cancel);
                }
            }
            var (format, columns, guess, second) = await Task.Run(() => Examine(path, fileName, pass.Project.Task), cancel);
            int? total = pass.Project.Task == TextTask.Generation ? await Task.Run(() => Count(path, format, columns), cancel) : null;
            if (total > MaxPrompts) throw new ModelRefused($"“{Path.GetFileName(fileName)}” has {Say.Count(total.Value)} prompts; at most {Say.Count(MaxPrompts)} are answered at once, because an answer is written word by word and others wait for the same model. Split the file.");
            desk.Keep(new ScoringJob
            {
                Id = id, ProjectId = pass.Project.Id, UserId = pass.UserId, RunNumber = runNumber, Task = pass.Project.Task, ModelFolder = view.Folder, MaxLength = RunRecipe.FromJson(view.Run.RecipeJson).MaxLength, PromptFormat = RunRecipe.FromJson(view.Run.RecipeJson).PromptFormat,
                FileName = Path.GetFileName(fileName), Source = path, Format = format, Columns = columns, Column = guess, Second = second, Total = total, At = clock.GetUtcNow().UtcDateTime,
            });
            return id;
        }
        catch
        {
            File.Delete(path);
            throw;
        }
    }

    /// The caller's file, or null where it is unknown, someone else's, or from before a restart.
    [Needs(Permission.UseModel)]
    public async Task<View?> Look(string projectId, string id, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.UseModel, cancel);
        if (Own(pass, id) is not { } job) return null;
        var spent = job is { State: ScoringState.Scoring, Began: { } began } ? clock.GetUtcNow().UtcDateTime - began : TimeSpan.Zero;
        return new(job.Id, job.FileName, job.Columns, job.Column, job.Second, job.State, job.Share, job.Rows, job.Unscored, job.WhyUnscored, job.Failure, job.First) { IsTaggedWords = job.Format.Kind == FileKind.TaggedWords, Left = job.Share is > 0 and < 1 && spent > TimeSpan.Zero ? spent * ((1 - job.Share) / job.Share) : null };
    }

    /// Second names a column that goes with the text, for tasks that have one.
    [Needs(Permission.UseModel)]
    public async Task Start(string projectId, string id, string column, string? second = null, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.UseModel, cancel);
        var job = Own(pass, id) ?? throw new ModelRefused("This file is no longer on the server; upload it again.");
        int Find(string name) => job.Columns.ToList().IndexOf(name) is >= 0 and var found ? found
            : throw new ModelRefused($"The file has no column “{name}”; its columns are {string.Join(", ", job.Columns.Take(20).Select(c => $"“{c}”"))}.");
        var (at, beside) = (Find(column), string.IsNullOrEmpty(second) ? (int?)null : Find(second));
        if (beside is not null && Answers.Of(job.Task).Second is null) throw new ModelRefused("The models of this project read one column; choose no second one.");
        if (beside is null && job.Task == TextTask.QuestionAnswering) throw new ModelRefused("No column is chosen for the contexts; choose the column with the context of each question.");
        if (beside == at) throw new ModelRefused($"“{column}” is chosen twice; choose another second column, or none.");
        if (job.State != ScoringState.Received) throw new ModelRefused($"“{job.FileName}” is being scored already, or was; upload it again to score it anew.");
        (job.Column, job.Second) = (at, beside);
        desk.Enqueue(job);
    }

    /// Stops the scoring and removes the file and what was scored of it.
    [Needs(Permission.UseModel)]
    public async Task Discard(string projectId, string id, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.UseModel, cancel);
        if (Own(pass, id) is { } job) desk.Forget(job);
    }

    /// Path and file name of the scored CSV, or null where there is none.
    [Needs(Permission.DownloadData)]
    public async Task<(string Path, string Name)?> Result(string projectId, string id, CancellationToken cancel = default)
    {
        var pass = await access.Require(projectId, Permission.DownloadData, cancel);
        return Own(pass, id) is { State: ScoringState.Done } job ? (job.Result, Path.GetFileNameWithoutExtension(job.FileName) + "-scored.csv") : null;
    }

    private ScoringJob? Own(ProjectPass pass, string id) => desk.Find(id) is { } job && job.ProjectId == pass.Project.Id && job.UserId == pass.UserId ? job : null;

    private static int Count(string path, FileFormat format, IReadOnlyList<string> columns)
    {
        using var file = File.OpenRead(path);
        return ReadTable.Rows(file, format, columns).Count();
    }

    private static (FileFormat Format, IReadOnlyList<string> Columns, int Text, int? Second) Examine(string path, string fileName, TextTask task)
    {
        var answers = Answers.Of(task);
        using var file = File.OpenRead(path);
        var encoding = DetectEncoding.Of(file);
        var format = DetectFormat.Of(file, encoding.Encoding ?? throw new DataFileException(encoding.Problem!), fileName, task);
        var columns = ReadTable.Columns(file, format).Names;
        var guess = answers.Guess(columns) ?? DetectFormat.Guess(columns, [.. ReadTable.Rows(file, format, columns).Take(100)]);
        var text = Math.Max(0, guess.PlaceOf(ColumnRole.Text));
        int? second = answers.Second is var (role, _) && guess.PlaceOf(role) is >= 0 and var found ? found : null;
        if (answers is not QuestionAnswers) return (format, columns, text, second);
        if (columns.Count < 2) throw new ModelRefused("The file has one column; a question needs another with its context.");
        return (format, columns, text, second ?? (text == 0 ? 1 : 0));
    }
}
