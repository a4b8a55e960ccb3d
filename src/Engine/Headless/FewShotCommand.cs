using System.Globalization;
using FineTuneStudio.Engine.FewShot;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Text;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Engine.Weights;

namespace FineTuneStudio.Engine.Headless;

/// <summary>
/// <c>few-shot --data file.csv --base folder --out folder [--text column] [--label column] [--ks 1,2,4] [--draws 3] [--methods full,head,lora,centroid]
/// [--metric macro-f1] [--steps 200] [--gain 0.02] [--recipe recipe.json] [--validation-share 0.1] [--test-share 0.1] [--resume] [--json]</c>: a learning curve over
/// few examples a label, and how many more rows a gain would take. The rows are split as <see cref="TrainCommand"/> splits them: examples come from its train part, the validation
/// part is measured, and the test part is not looked at.
/// </summary>
public static class FewShotCommand
{
    private static readonly Command Command = new("few-shot", "measures how well each method does with few examples a label.",
        new("--data", "file.csv", "The rows; .tsv is read with tabs."),
        new("--base", "folder", "The model to begin with, a Hugging Face folder."),
        new("--out", "folder", "Gets the measured points, from which --resume goes on."),
        new("--text", "column", "The text of a row; \"text\" if left out."),
        new("--label", "column", "Its label; \"label\" if left out."),
        new("--ks", "1,2,4", "Examples a label; 1,2,4,8,16,32 if left out."),
        new("--draws", "number", "How often each is drawn and measured anew; 3 if left out."),
        new("--methods", "full,head", "Some of full, head, lora and centroid; all if left out."),
        new("--metric", "metric", "accuracy or macro-f1; macro-f1 if left out."),
        new("--steps", "number", "Least optimizer steps of a point; 200 if left out."),
        new("--gain", "share", "The gain for which more rows are counted; 0.02 if left out."),
        new("--recipe", "recipe.json", "Settings; those that it leaves out have their usual values."),
        new("--validation-share", "share", "Rows that are measured; 0.1 if left out."),
        new("--test-share", "share", "Rows that are not looked at; 0.1 if left out."),
        new("--resume", null, "Goes on after a stop or a crash, behind the last finished point in --out."),
        Command.Json);

    /// <returns>0 when the curve is whole; 1 with one sentence on <paramref name="error"/> otherwise. What is finished is kept.</returns>
    public static int Run(string[] args, TextWriter output, TextWriter error) => Run(args, output, error, CancellationToken.None);

    /// <inheritdoc cref="Run(string[], TextWriter, TextWriter)"/>
    /// <param name="cancel">Ends the curve as a stopped process would: it can go on later with <c>--resume</c>.</param>
    public static int Run(string[] args, TextWriter output, TextWriter error, CancellationToken cancel)
    {
        var stopAsked = false;
        void OnInterrupt(object? sender, ConsoleCancelEventArgs key) => key.Cancel = !stopAsked && (stopAsked = true);
        Console.CancelKeyPress += OnInterrupt;
        try
        {
            if (Command.Helps(args, output)) return 0;
            var options = new CommandOptions(Command, args);
            var (metric, gain) = (MetricOf(options), options.Share("--gain", 0.02));
            if (gain == 0) throw new CommandException("--gain is 0; expected a share above 0, such as 0.02.");
            var job = Read(options);
            if (!options.Has("--resume") && KeptPoints.In(job.OutputFolder).Count > 0)
                throw new CommandException($"{job.OutputFolder} already holds points of a curve; add --resume to go on with it, or choose another folder.");
            var progress = new FewShotProgress(output, options.Has("--json"), metric);
            progress.Start(job);
            var curve = LearningCurve.Run(job, progress.Show, () => stopAsked ? StopRequest.Stop : StopRequest.None, cancel, options.Has("--resume"));
            progress.End(curve, gain);
            if (curve.Outcome == FewShotOutcome.Finished) return 0;
            error.WriteLine($"Stopped after {curve.Points.Count} of {curve.PointsTotal} points; add --resume to the same command to go on.");
            return 1;
        }
        catch (Exception e) when (e is CommandException or TrainingException or WeightFileException or TokenizerFileException or FormatException or IOException or UnauthorizedAccessException)
        {
            error.WriteLine(e.Message);
            return 1;
        }
        catch (OperationCanceledException)
        {
            error.WriteLine("The curve was interrupted; add --resume to the same command to go on after its last finished point.");
            return 1;
        }
        finally { Console.CancelKeyPress -= OnInterrupt; }
    }

    private static FewShotJob Read(CommandOptions options)
    {
        var methods = (options.Optional("--methods") ?? "full,head,lora,centroid").Split(',').Select(FewShotMethods.Parse).ToList();
        var (ks, draws, steps) = (Whole(options, "--ks", "1,2,4,8,16,32"), Whole(options, "--draws", "3"), Whole(options, "--steps", "200"));
        var recipe = options.Optional("--recipe") is { } path ? TrainCommand.ReadRecipe(path) : FewShotMethods.Basis;
        var rows = TextRows.Read(options.Required("--data"), options.Optional("--text") ?? "text", options.Optional("--label") ?? "label");
        var labels = rows.Select(r => r.Label).Distinct().Order(StringComparer.Ordinal).ToList();
        var number = labels.Select((name, i) => (name, i)).ToDictionary(l => l.name, l => l.i);
        var parts = SplitRows.ByLabel([.. rows.Select(r => new LabeledText(r.Line, r.Text, number[r.Label]))], options.Share("--validation-share", 0.1), options.Share("--test-share", 0.1), recipe.Seed);
        return new(options.RequiredFolder("--base"), labels, parts.Train, parts.Validation, options.RequiredOutputFolder("--out"))
        {
            Ks = ks, Draws = draws is [var one] ? one : throw new CommandException("--draws takes one number."), Methods = methods, Seed = recipe.Seed, Recipe = recipe,
            LeastSteps = steps is [var least] ? least : throw new CommandException("--steps takes one number."),
        };
    }

    private static List<int> Whole(CommandOptions options, string name, string otherwise) => [.. (options.Optional(name) ?? otherwise).Split(',').Select(text =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number > 0 ? number
        : throw new CommandException($"{name} is \"{options.Optional(name)}\"; expected {(otherwise.Contains(',') ? "whole numbers above 0 with commas between, such as 1,2,4" : $"a whole number above 0, such as {otherwise}")}."))];

    private static Metric MetricOf(CommandOptions options) => options.Optional("--metric") switch
    {
        null or "macro-f1" => Metric.MacroF1,
        "accuracy" => Metric.Accuracy,
        var other => throw new CommandException($"--metric is \"{other}\"; expected accuracy or macro-f1."),
    };
}
