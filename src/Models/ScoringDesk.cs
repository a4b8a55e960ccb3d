using System.Collections.Concurrent;
using System.Text;
using System.Threading.Channels;
using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.Generation;
using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Models;

public enum ScoringState { Received, Waiting, Scoring, Done, Cancelled, Failed }

/// A row of a scored file, for the preview.
public sealed record ScoredRow(string Text, string Label, double? Confidence);

/// A file on its way through a model. Lives in this process only: after a restart it has to be uploaded again.
internal sealed class ScoringJob
{
    public required string Id { get; init; }
    public required string ProjectId { get; init; }
    public required string UserId { get; init; }
    public required int RunNumber { get; init; }
    public required TextTask Task { get; init; }
    public required string ModelFolder { get; init; }
    public required int MaxLength { get; init; }
    public required PromptFormat PromptFormat { get; init; }
    public required string FileName { get; init; }
    public required string Source { get; init; }
    public required FileFormat Format { get; init; }
    public required IReadOnlyList<string> Columns { get; init; }
    public required DateTime At { get; init; }
    /// Rows of the file, where they were counted.
    public int? Total { get; init; }
    public int Column { get; set; }
    /// A column that goes with it; null where none does.
    public int? Second { get; set; }
    public DateTime? Began;
    public volatile ScoringState State = ScoringState.Received;
    public int Rows, Unscored;
    public double Share;
    /// Why the first row without an answer has none, with its line.
    public string? WhyUnscored;
    public string? Failure;
    public IReadOnlyList<ScoredRow> First = [];
    public readonly CancellationTokenSource Stop = new();

    public string Result => Source + ".scored.csv";
}

/// Scores uploaded files one at a time, off the request threads, in turns of so many rows that others do not wait long for theirs.
public sealed class ScoringDesk(LoadedModel model, StudioFolder folder, TimeProvider clock, ILogger<ScoringDesk> log) : BackgroundService
{
    private const int Preview = 10;
    private static readonly TimeSpan Kept = TimeSpan.FromHours(24);
    private readonly Channel<ScoringJob> queue = Channel.CreateUnbounded<ScoringJob>();
    private readonly ConcurrentDictionary<string, ScoringJob> jobs = new();

    internal ScoringJob? Find(string id) => jobs.GetValueOrDefault(id);

    internal void Keep(ScoringJob job)
    {
        foreach (var old in jobs.Values.Where(j => clock.GetUtcNow().UtcDateTime - j.At > Kept)) Forget(old);
        jobs[job.Id] = job;
    }

    internal void Enqueue(ScoringJob job)
    {
        job.State = ScoringState.Waiting;
        queue.Writer.TryWrite(job);
    }

    internal void Forget(ScoringJob job)
    {
        job.Stop.Cancel();
        jobs.TryRemove(job.Id, out _);
        File.Delete(job.Source);
        File.Delete(job.Result);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        // Jobs do not outlive the process; their files must not either.
        foreach (var left in Directory.GetFiles(folder.Scored)) File.Delete(left);
        await foreach (var job in queue.Reader.ReadAllAsync(stoppingToken))
        {
            using var stop = CancellationTokenSource.CreateLinkedTokenSource(stoppingToken, job.Stop.Token);
            try
            {
                stop.Token.ThrowIfCancellationRequested();
                job.State = ScoringState.Scoring;
                await Score(job, stop.Token);
                (job.Share, job.State) = (1, ScoringState.Done);
            }
            catch (OperationCanceledException) { job.State = ScoringState.Cancelled; }
            catch (Exception fault)
            {
                log.LogError(fault, "A file could not be scored");
                (job.Failure, job.State) = (fault is DataFileException or ModelRefused ? fault.Message : "The file could not be scored; the server's log says why. Try again.", ScoringState.Failed);
            }
        }
    }

    private async Task Score(ScoringJob job, CancellationToken cancel)
    {
        await using var file = File.OpenRead(job.Source);
        await using var csv = new StreamWriter(job.Result, append: false, new UTF8Encoding(true));
        var score = ScoreTexts.Of(job.Task, job.PromptFormat);
        var added = await score.Columns(model, job.ModelFolder, cancel);
        job.Began = clock.GetUtcNow().UtcDateTime;
        var header = job.Columns.Concat(added.Select(name => Free(name, job.Columns)));
        await csv.WriteAsync(string.Join(',', header.Select(DownloadRejected.Cell)) + "\r\n");
        var first = new List<ScoredRow>();
        var answers = Answers.Of(job.Task);
        IReadOnlyList<ColumnUse> uses = [.. job.Columns.Select((name, c) => new ColumnUse(name, c == job.Column ? ColumnRole.Text : c == job.Second ? answers.Second!.Value.Role : ColumnRole.Ignored))];
        foreach (var rows in ReadTable.Batches(ReadTable.Rows(file, job.Format, job.Columns), score.Turn))
        {
            cancel.ThrowIfCancellationRequested();
            // As the import makes them, so that the model reads what it was trained on.
            var taken = rows.Select(r => ReadTable.Take(r, uses, answers, isAsked: true)).ToList();
            var texts = taken.Where(t => t.Row is not null).Select(t => t.Row!.Text).ToList();
            var scores = texts.Count == 0 ? [] : await score.Handle(model, job.ModelFolder, texts, job.MaxLength, cancel);
            var next = 0;
            foreach (var (row, (read, rejection)) in rows.Zip(taken))
            {
                // A row that cannot be read stays in the file with its place and why, so that no row is silently gone.
                var cells = job.Columns.Select((_, c) => DownloadRejected.Cell(row.Fault is null ? row.Cells[c] : c == job.Column ? $"line {row.Line}: {row.Fault}" : ""));
                if (read is null)
                {
                    Interlocked.Increment(ref job.Unscored);
                    job.WhyUnscored ??= $"Line {rejection!.Line}: {rejection.Reason}";
                    cells = cells.Concat(Enumerable.Repeat("", added.Count));
                }
                else
                {
                    var found = scores[next++];
                    cells = cells.Concat(found.Cells);
                    if (first.Count < Preview) first.Add(new(read.Text, found.Answer, found.Confidence));
                }
                await csv.WriteAsync(string.Join(',', cells) + "\r\n");
            }
            job.Rows += rows.Count;
            (job.Share, job.First) = (job.Total is > 0 and var total ? (double)job.Rows / total : file.Length == 0 ? 1 : (double)file.Position / file.Length, [.. first]);
        }
        if (job.Rows == 0) throw new DataFileException("The file has a header and no row below it; there is nothing to score.");
    }

    private static string Free(string name, IReadOnlyList<string> taken)
    {
        for (var n = 1; ; n++)
            if ((n == 1 ? name : $"{name} ({n})") is var free && !taken.Contains(free)) return free;
    }
}
