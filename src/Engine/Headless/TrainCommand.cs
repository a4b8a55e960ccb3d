using System.Text.Json;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Text;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Engine.Weights;

namespace FineTuneStudio.Engine.Headless;

/// <summary>
/// <c>train --data file.csv --base folder --out folder [--recipe recipe.json] [--text column] [--label column]
/// [--validation-share 0.1] [--test-share 0.1] [--test file.csv] [--resume] [--json]</c>: fine-tunes without a browser. With
/// <c>--prompt column --answer column</c> in place of text and label, a language model learns to answer, and there is no test part; with
/// <c>--question column --context column --answer column [--answer-start column]</c> an encoder learns to find answers in contexts.
/// The rows are split by label with the recipe's seed; with <c>--test</c>, that file is the test part instead.
/// </summary>
public static class TrainCommand
{
    private static readonly Command Command = new("train", "fine-tunes a model on the rows of a file.",
        new("--recipe", "recipe.json", "Settings; those that it leaves out, or all without it, have their usual values."),
        new("--data", "file.csv", "The rows, split into train, validation and test parts; .tsv is read with tabs."),
        new("--base", "folder", "The model to begin with, a Hugging Face folder."),
        new("--out", "folder", "Gets best, the trained model, and last, from which --resume goes on."),
        new("--text", "column", "The text of a row; \"text\" if left out."),
        new("--label", "column", "Its label; \"label\" if left out."),
        new("--prompt", "column", "With --answer, in place of text and label: what a language model is to answer."),
        new("--answer", "column", "The answer to a prompt, or to a question."),
        new("--question", "column", "With --context and --answer: a question that is answered by a stretch of its context."),
        new("--context", "column", "Where the answer is found."),
        new("--answer-start", "column", "At which character of the context the answer begins; looked for if left out."),
        new("--validation-share", "share", "Rows that choose the best checkpoint; 0.1 if left out."),
        new("--test-share", "share", "Rows that are scored at the end; 0.1 if left out."),
        new("--test", "file.csv", "The test part, in place of a share of --data."),
        Command.Resume, Command.Json);

    /// <returns>0 when the model was trained and written; 1 with one sentence on <paramref name="error"/> otherwise.</returns>
    public static int Run(string[] args, TextWriter output, TextWriter error) => Run(args, output, error, CancellationToken.None);

    /// <inheritdoc cref="Run(string[], TextWriter, TextWriter)"/>
    /// <param name="cancel">Ends the run as a stopped process would: it can go on later with <c>--resume</c>.</param>
    public static int Run(string[] args, TextWriter output, TextWriter error, CancellationToken cancel)
    {
        var stopAsked = false;
        void OnInterrupt(object? sender, ConsoleCancelEventArgs key) => key.Cancel = !stopAsked && (stopAsked = true);
        Console.CancelKeyPress += OnInterrupt;
        try
        {
            if (Command.Helps(args, output)) return 0;
            var options = new CommandOptions(Command, args);
            var progress = new TrainProgress(output, options.Has("--json"));
            var recipe = ReadRecipe(options.Optional("--recipe"));
            var (job, test) = ReadJob(recipe, options);
            progress.Start(job, test.Count);
            var result = FineTune.Run(job, progress.Show, () => stopAsked ? StopRequest.Stop : StopRequest.None, cancel, options.Has("--resume"));
            if (result.BestFolder is null) throw new CommandException("The run was stopped before anything was learned; no model was written.");
            progress.End(result, test.Count, test.Count == 0 ? null : job.Task == TextTask.QuestionAnswering ? QuestionRows.Score(result.BestFolder, [.. test.Cast<QuestionedText>()], recipe.MaxLength)
                : Score(result.BestFolder, [.. test.Cast<LabeledText>()], recipe.MaxLength, job.Labels.Count));
            return 0;
        }
        catch (Exception e) when (e is CommandException or TrainingException or WeightFileException or TokenizerFileException or FormatException or IOException or UnauthorizedAccessException)
        {
            error.WriteLine(e.Message);
            return 1;
        }
        catch (OperationCanceledException)
        {
            error.WriteLine("The run was interrupted; add --resume to the same command to go on from its last checkpoint.");
            return 1;
        }
        finally { Console.CancelKeyPress -= OnInterrupt; }
    }

    /// <param name="begin">What fields that the file leaves out have.</param>
    internal static RunRecipe ReadRecipe(string? path, RunRecipe? begin = null)
    {
        if (path is not null && !File.Exists(path)) throw new CommandException($"There is no recipe {path}.");
        var recipe = path is null ? begin ?? new RunRecipe() : RunRecipe.FromJson(File.ReadAllText(path), begin);
        return recipe.Validate() is { Count: > 0 } problems ? throw new CommandException(string.Join(" ", problems)) : recipe;
    }

    private static (FineTuneJob Job, IReadOnlyList<TrainingExample> Test) ReadJob(RunRecipe recipe, CommandOptions options)
    {
        if (options.Optional("--question") is not null || options.Optional("--context") is not null) return ReadQuestions(recipe, options);
        if (options.Optional("--prompt") is not null || options.Optional("--answer") is not null) return (ReadPrompts(recipe, options), []);
        var (data, text, label) = (options.Required("--data"), options.Optional("--text") ?? "text", options.Optional("--label") ?? "label");
        var rows = TextRows.Read(data, text, label);
        var labels = rows.Select(r => r.Label).Distinct().Order(StringComparer.Ordinal).ToList();
        var number = labels.Select((name, i) => (name, i)).ToDictionary(l => l.name, l => l.i);
        LabeledText Numbered((long Line, string Text, string Label) row) => new(row.Line, row.Text, number.TryGetValue(row.Label, out var i) ? i
            : throw new CommandException($"{options.Optional("--test")}, line {row.Line}: the label \"{row.Label}\" does not occur in {data}."));

        var test = options.Optional("--test") is { } file ? TextRows.Read(file, text, label).Select(Numbered).ToList() : null;
        var parts = SplitRows.ByLabel(rows.Select(Numbered).ToList(), options.Share("--validation-share", 0.1), test is null ? options.Share("--test-share", 0.1) : 0, recipe.Seed);
        return (new(recipe, options.RequiredFolder("--base"), labels, parts.Train, parts.Validation, options.RequiredOutputFolder("--out")), test ?? parts.Test);
    }

    private static (FineTuneJob Job, IReadOnlyList<TrainingExample> Test) ReadQuestions(RunRecipe recipe, CommandOptions options)
    {
        foreach (var name in new[] { "--text", "--label", "--prompt" })
            if (options.Optional(name) is not null) throw new CommandException($"{name} does not go together with --question and --context.");
        List<QuestionedText> Read(string path) => QuestionRows.Read(path, options.Required("--question"), options.Required("--context"), options.Required("--answer"), options.Optional("--answer-start"));
        var test = options.Optional("--test") is { } file ? Read(file) : null;
        var parts = QuestionRows.ByContext(Read(options.Required("--data")), options.Share("--validation-share", 0.1), test is null ? options.Share("--test-share", 0.1) : 0, recipe.Seed);
        if (recipe.Metric == new RunRecipe().Metric) recipe = recipe with { Metric = Metric.AnswerF1 };
        return (new(recipe, options.RequiredFolder("--base"), [], parts.Train, parts.Validation, options.RequiredOutputFolder("--out"), TextTask.QuestionAnswering), test ?? parts.Test);
    }

    private static FineTuneJob ReadPrompts(RunRecipe recipe, CommandOptions options)
    {
        foreach (var name in new[] { "--text", "--label", "--test", "--test-share" })
            if (options.Optional(name) is not null) throw new CommandException($"{name} does not go together with --prompt and --answer.");
        var rows = TextRows.Read(options.Required("--data"), options.Required("--prompt"), options.Required("--answer"));
        var parts = SplitRows.ByLabel([.. rows.Select((_, i) => new LabeledText(i, "", 0))], options.Share("--validation-share", 0.1), 0, recipe.Seed);
        List<AnsweredPrompt> Of(List<LabeledText> part) => [.. part.Select(r => rows[(int)r.RowId]).Select(r => new AnsweredPrompt(r.Line, r.Text, r.Label))];
        if (recipe.Metric == new RunRecipe().Metric) recipe = recipe with { Metric = Metric.Perplexity };
        return new(recipe, options.RequiredFolder("--base"), [], Of(parts.Train), Of(parts.Validation), options.RequiredOutputFolder("--out"), TextTask.Generation);
    }

    private static IReadOnlyDictionary<Metric, double> Score(string folder, IReadOnlyList<LabeledText> rows, int maxLength, int labels)
    {
        using var classifier = TextClassifier.Load(folder);
        var predictions = classifier.Predict(rows.Select(r => r.Text).ToList(), maxLength, 64).Select(p => Array.IndexOf(p, p.Max())).ToList();
        var report = Classification.Evaluate(rows.Select(r => r.Label).ToList(), predictions, labels);
        return new Dictionary<Metric, double> { [Metric.Accuracy] = report.Accuracy, [Metric.MacroF1] = report.MacroF1 };
    }
}
