using FineTuneStudio.Engine.Training;
using FineTuneStudio.Projects;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Datasets;

/// How an uploaded file is read: detected, shown, changeable; and what importing it would give.
public sealed class ExamineFile(IDbContextFactory<StudioDb> databases, ProjectAccess access, ReceiveFile receive)
{
    public const int PreviewRows = 10;

    /// Problem is set where the file cannot be read as it is; Format where a guess exists all the same.
    public sealed record Look(Import Import, FileFormat? Format, IReadOnlyList<string> Columns, ColumnMapping Mapping, IReadOnlyList<RawRow> Rows, IReadOnlyList<string> Notices, string? Problem);

    public sealed record Counts(int Rows, int Unlabeled, int Rejected, IReadOnlyList<LabelCount> Labels, IReadOnlyList<Rejection> Examples, IReadOnlyList<string> Warnings, string? Problem)
    {
        /// The answers as the whole file has them, and what it decided about them.
        public Answers? Answers { get; init; }
        public string? Decided { get; init; }
        /// Rows whose answer says that there is none.
        public int SayNone { get; init; }
        /// What the numbers are like, of a task whose answers are numbers.
        public NumberOverview? Numbers { get; init; }
    }

    [Needs(Permission.UploadData)]
    public async Task<Look> Handle(string projectId, int importId, FileFormat? chosen = null, CancellationToken cancel = default)
    {
        var import = await Find(projectId, importId, cancel);
        var task = (await access.Require(projectId, Permission.UploadData, cancel)).Project.Task;
        return await Task.Run(() =>
        {
            using var file = File.OpenRead(receive.PathOf(import));
            return See(import, file, task, chosen ?? (import.FormatJson is null ? null : FileFormat.FromJson(import.FormatJson)));
        }, cancel);
    }

    /// Reads the whole file with this format and mapping and keeps nothing.
    [Needs(Permission.UploadData)]
    public async Task<Counts> Count(string projectId, int importId, FileFormat format, ColumnMapping mapping, IProgress<double>? progress = null, CancellationToken cancel = default)
    {
        var import = await Find(projectId, importId, cancel);
        var answers = Answers.Of((await access.Require(projectId, Permission.UploadData, cancel)).Project.Task);
        return await Task.Run(() =>
        {
            using var file = File.OpenRead(receive.PathOf(import));
            return CountRows(file, format, mapping, answers, progress, cancel);
        }, cancel);
    }

    internal static Look See(Import import, Stream file, TextTask task, FileFormat? chosen)
    {
        var notices = new List<string>();
        var format = chosen;
        try
        {
            if (format is null)
            {
                var encoding = DetectEncoding.Of(file);
                if (encoding.Notice is not null) notices.Add(encoding.Notice);
                if (encoding.Encoding is null) return new(import, null, [], new([]), [], notices, encoding.Problem);
                format = DetectFormat.Of(file, encoding.Encoding, import.FileName, task);
            }
            var (columns, about) = ReadTable.Columns(file, format);
            notices.AddRange(about);
            if (format.Kind == FileKind.TaggedWords) notices.Add($"Each line holds a word (column {format.TokenColumn}) and its tag (column {format.TagColumn}), and a blank line ends a sentence. A row is a sentence: its words joined by single blanks, with the spans that the tags mark.");
            if (format.Kind == FileKind.Squad) notices.Add("This is SQuAD’s layout, one JSON object with articles, paragraphs and questions. Each question is a row with its paragraph as the context; its line is its number in the file.");
            var rows = ReadTable.Sample(file, format, columns, 200, Answers.Of(task));
            var mapping = Answers.Of(task).Guess(columns) ?? Answers.Of(task).Refine(DetectFormat.Guess(columns, rows), rows);
            if (import.MappingJson is { } kept && ColumnMapping.FromJson(kept) is var before && before.Columns.Select(c => c.Name).SequenceEqual(columns)) mapping = before;
            return new(import, format, columns, mapping, [.. rows.Take(PreviewRows)], notices, rows.Count == 0 ? HeaderOnly : null);
        }
        catch (DataFileException e) { return new(import, format, [], new([]), [], notices, e.Message); }
    }

    private const string HeaderOnly = "The file has a header and no row below it; there is nothing to import.";

    internal static Counts CountRows(Stream file, FileFormat format, ColumnMapping mapping, Answers answers, IProgress<double>? progress, CancellationToken cancel)
    {
        var labels = new Dictionary<string, int>(StringComparer.Ordinal);
        var (examples, numbers) = (new List<Rejection>(), new List<double>());
        int rows = 0, unlabeled = 0, rejected = 0, none = 0, firsts = 0;
        string? decided = null;
        try
        {
            var columns = ReadTable.Columns(file, format).Names;
            if (mapping.Faults(columns) is { Count: > 0 } faults) return new(0, 0, 0, [], [], [], string.Join(" ", faults));
            (answers, decided) = answers.Survey(format, mapping, ReadTable.Rows(file, format, columns).Select((row, i) => { if (i % 4096 == 0) cancel.ThrowIfCancellationRequested(); return row; }));
            foreach (var raw in ReadTable.Rows(file, format, columns))
            {
                var (row, rejection) = ReadTable.Take(raw, mapping.Columns, answers);
                if (row is null) { rejected++; if (examples.Count < 20) examples.Add(rejection!); }
                else
                {
                    rows++;
                    if (row.Label is null) unlabeled++;
                    else Add(labels, answers.Names(row.Label));
                    if (row.Label is not null && answers is NumberAnswers) numbers.Add(NumberAnswers.Value(row.Label));
                    if (row.Label is not null && answers.SaysNone(row.Label)) none++;
                    if (row.FirstOfSeveral) firsts++;
                }
                if ((rows + rejected) % 4096 == 0) { cancel.ThrowIfCancellationRequested(); progress?.Report((double)file.Position / file.Length); }
            }
        }
        catch (DataFileException e) { return new(rows, unlabeled, rejected, [], examples, [], e.Message); }
        IReadOnlyList<LabelCount> counts = [.. labels.OrderBy(l => l.Key, StringComparer.Ordinal).Select(l => new LabelCount(l.Key, l.Value))];
        var problem = rows > 0 ? null : rejected > 0 ? $"None of the {rejected} rows can be imported; the first says: {examples[0].Reason}" : HeaderOnly;
        var warnings = Warnings(rows, unlabeled, counts, answers, mapping);
        if (firsts > 0) warnings = [.. warnings, string.Create(System.Globalization.CultureInfo.InvariantCulture, $"In {firsts:N0} {(firsts == 1 ? "row" : "rows")} the answer stands in the context more than once and no start says where: its first place is taken.")];
        return new(rows, unlabeled, rejected, counts, examples, warnings, problem) { Answers = answers, Decided = decided, SayNone = none, Numbers = NumberOverview.Of(numbers) };
    }

    internal static void Add(Dictionary<string, int> labels, IEnumerable<string> names)
    {
        foreach (var name in names) labels[name] = labels.GetValueOrDefault(name) + 1;
        if (labels.Count > DataLimits.Labels)
            throw new DataFileException($"The label column holds more than {DataLimits.Labels} different values; that is text, not a label. Choose another column.");
    }

    /// What does not stand against importing and yet should be known.
    internal static IReadOnlyList<string> Warnings(int rows, int unlabeled, IReadOnlyList<LabelCount> labels, Answers answers, ColumnMapping? mapping = null)
    {
        var warnings = new List<string>();
        var role = answers.Role.ToLowerInvariant();
        var then = answers.HasReview ? "every row is imported as unlabelled and waits in the review" : "no row could be learned from";
        if (unlabeled == rows && mapping is not null && mapping.Columns.All(c => c.Role != ColumnRole.Label)) warnings.Add($"No column is marked as the {role}: {then}.");
        else if (unlabeled == rows && rows > 0) warnings.Add($"No row has {answers.One}: {then}.");
        else if (unlabeled > 0 && !answers.HasReview) warnings.Add($"{Rows(unlabeled)} without {answers.One}: they come in, but neither training nor a report uses them.");
        if (labels.Count == 1 && answers.NeedsTwoStrata) warnings.Add($"All labelled rows carry the one label “{labels[0].Name}”; a model needs at least two to learn a difference.");
        if (labels.Count > 50 && labels.Count > (rows - unlabeled) / 2) warnings.Add($"There are {labels.Count} labels for {rows - unlabeled} labelled rows; is the label column the right one?");
        return warnings;
    }

    private static string Rows(int count) => count == 1 ? "1 row is" : string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{count:N0} rows are");

    private async Task<Import> Find(string projectId, int importId, CancellationToken cancel)
    {
        await access.Require(projectId, Permission.UploadData, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var import = await db.Imports.AsNoTracking().SingleOrDefaultAsync(i => i.Id == importId && i.ProjectId == projectId, cancel)
            ?? throw new DataFileException($"There is no upload {importId} in this project.");
        if (import.State is ImportState.Receiving) throw new DataFileException($"“{import.FileName}” is not here in full yet; go on with its upload first.");
        if (import.State is ImportState.Cancelled) throw new DataFileException($"“{import.FileName}” was discarded; upload it again.");
        return import;
    }
}
