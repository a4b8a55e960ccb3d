using System.Globalization;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Text;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Engine.Weights;
using TorchSharp;

namespace FineTuneStudio.Engine.Headless;

/// <summary>
/// <c>pretrain --text path --out folder (--base folder | --new bert|gpt2 [--layers 4] [--width 256] [--heads 4] [--positions 128] [--vocabulary 8000])
/// [--validation path] [--recipe recipe.json] [--steps number] [--store float32|bf16] [--device cpu|cuda] [--resume] [--json]</c>: learns from plain text. A path is a file or a folder of
/// .txt, .txt.xz, .jsonl or .jsonl.xz; files of <c>--validation</c> are never learned from. With <c>--new</c> the vocabulary is learned from the train text first, and the model with new weights stands in
/// OUT/start. Ctrl-C evaluates, keeps the best checkpoint and ends.
/// </summary>
public static class PretrainCommand
{
    private static readonly string[] OfNew = ["--layers", "--width", "--heads", "--positions", "--vocabulary"];

    private static readonly Command Command = new("pretrain", "learns from plain text, with a model of a folder or a new one.",
        new("--text", "path", "A .txt, .txt.xz, .jsonl or .jsonl.xz file, or a folder of them."),
        new("--validation", "path", "Text that is not learned from; without it nothing is evaluated, and the last weights are the model."),
        new("--out", "folder", "Gets best, the model, and last, from which --resume goes on; start, a new model; and texts, the text in tokens."),
        new("--base", "folder", "A BERT, GPT-2, Llama or Qwen2 to go on with."),
        new("--new", "family", "In place of --base: bert or gpt2, with new weights and a vocabulary learned from the text."),
        new("--layers", "number", "Blocks of a new model; 4 if left out."),
        new("--width", "number", "Width of a new model; 256 if left out."),
        new("--heads", "number", "Its attention heads; 4 if left out."),
        new("--positions", "number", "Longest text in tokens that a new model can read; the recipe's max length if left out."),
        new("--vocabulary", "number", "Tokens that a new model knows; 8000 if left out."),
        new("--recipe", "recipe.json", "Settings; those that it leaves out, or all without it, are one pass in batches of 64 blocks of 128 tokens."),
        new("--steps", "number", "Optimizer steps, in place of the recipe's epochs."),
        new("--store", "precision", "How the model is saved: float32, or bf16, which is half as large."),
        new("--device", "device", "cpu, or cuda for a graphics card; cpu if left out."),
        Command.Resume, Command.Json);

    /// <returns>The exit code: 0, or 1 with a sentence on <paramref name="error"/>.</returns>
    public static int Run(string[] args, TextWriter output, TextWriter error, CancellationToken cancel = default)
    {
        var (stopAsked, stepped) = (false, false);
        using var early = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        // Before the first step there is nothing to keep. A second Ctrl-C ends at once.
        void OnInterrupt(object? sender, ConsoleCancelEventArgs e)
        {
            e.Cancel = !stopAsked && (stopAsked = true);
            if (!stepped) early.Cancel();
        }
        Console.CancelKeyPress += OnInterrupt;
        try
        {
            if (Command.Helps(args, output)) return 0;
            var options = new CommandOptions(Command, args);
            var progress = new TrainProgress(output, options.Has("--json"));
            var recipe = TrainCommand.ReadRecipe(options.Optional("--recipe"), Pretrain.DefaultRecipe);
            var (train, validation) = (TextDocuments.Files(options.Required("--text")), options.Optional("--validation") is { } held ? TextDocuments.Files(held) : []);
            // Held-out text often lies beside the train text.
            var known = validation.Select(Path.GetFullPath).ToHashSet();
            train = [.. train.Where(file => !known.Contains(Path.GetFullPath(file)))];
            if (train.Count == 0) throw new CommandException("--text has no file but those of --validation; a model must be measured on text that it did not learn from.");
            if (validation.Count == 0) recipe = recipe with { EvaluationsPerEpoch = 0 };
            var folder = options.RequiredOutputFolder("--out");
            var start = options.Optional("--base") is not null ? options.RequiredFolder("--base") : Path.Combine(folder, "start");
            if (options.Optional("--base") is null) Begin(options, recipe, train, start, progress, early.Token);
            else if (options.Optional("--new") is not null) throw new CommandException("--new does not go together with --base: a model starts from new weights or from a folder.");
            else if (OfNew.FirstOrDefault(name => options.Optional(name) is not null) is { } size) throw new CommandException($"{size} is for a new model; with --base it is as the folder says.");
            var job = new PretrainJob(recipe, start, train, validation, folder, Path.Combine(folder, "texts"), options.Optional("--steps") is null ? null : options.Whole("--steps", 0), options.Optional("--store") switch
            {
                null => null, "float32" => Precision.Float32, "bf16" => Precision.Bf16,
                var other => throw new CommandException($"--store is \"{other}\"; expected float32 or bf16."),
            }) { Device = DeviceOf(options.Optional("--device")) };
            var result = Pretrain.Run(job, e =>
            {
                stepped |= e is StepDone;
                progress.Show(e);
            }, () => stopAsked ? StopRequest.Stop : StopRequest.None, early.Token, options.Has("--resume"));
            if (result.BestFolder is null) throw new CommandException("The run was stopped before anything was learned; no model was written.");
            progress.End(result, 0, null);
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

    private static torch.Device DeviceOf(string? named) => named switch
    {
        null or "cpu" => torch.CPU,
        "cuda" when torch.cuda_is_available() => torch.CUDA,
        "cuda" => throw new CommandException("--device is cuda, but libtorch sees no CUDA device; leave it out, or build with LIBTORCH set to a libtorch for CUDA on a machine with an NVIDIA graphics card."),
        _ => throw new CommandException($"--device is \"{named}\"; expected cpu or cuda."),
    };

    /// <summary>The model with new weights; one that an interrupted run has made is taken as it is.</summary>
    private static void Begin(CommandOptions options, RunRecipe recipe, IReadOnlyList<string> train, string start, TrainProgress progress, CancellationToken cancel)
    {
        var family = options.Optional("--new") ?? throw new CommandException("--base or --new is missing: a model to go on with, or bert or gpt2 to begin with new weights.");
        if (family is not ("bert" or "gpt2")) throw new CommandException($"--new is \"{family}\"; expected bert or gpt2.");
        var shape = new ModelShape(options.Whole("--layers", 4), options.Whole("--width", 256), options.Whole("--heads", 4), options.Whole("--positions", recipe.MaxLength));
        if (shape.Problem is { } problem) throw new CommandException(problem);
        if (shape.Positions < recipe.MaxLength) throw new CommandException($"--positions is {shape.Positions}, but the recipe's max length is {recipe.MaxLength}; a model reads no text that is longer than its positions.");
        if (shape.Positions > recipe.MaxLength) progress.Show(new LogLine($"Only the first {recipe.MaxLength} of {shape.Positions} positions will be trained, because the recipe's max length is {recipe.MaxLength}."));
        if (options.Has("--resume") && Directory.Exists(start))
        {
            var made = ModelFolder.Inspect(start);
            if ((made.ModelType, made.Layers, made.HiddenSize, made.MaxPositions) != (family, shape.Layers, shape.HiddenSize, shape.Positions))
                throw new CommandException($"{start} holds a {made.ModelType} of {made.Layers} layers, width {made.HiddenSize} and {made.MaxPositions} positions, and not what --new asks for; leave out --resume to begin anew.");
            return;
        }
        if (Directory.Exists(start)) Directory.Delete(start, recursive: true);
        var size = options.Whole("--vocabulary", 8000);
        try { progress.Show(new LogLine(string.Create(CultureInfo.InvariantCulture, $"Learned a vocabulary of {NewModelFolder.Learned(family, start, TextDocuments.Read(train, cancel), size, shape, recipe.Seed, cancel):N0} tokens from the train text."))); }
        catch (ArgumentException e) { throw new CommandException(e.Message); }
    }
}
