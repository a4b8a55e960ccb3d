using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Text;
using FineTuneStudio.Engine.Weights;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Training;

/// <summary>What the tasks of a text encoder with a head on it share.</summary>
/// <typeparam name="TTexts">The rows of the task with what they teach.</typeparam>
internal abstract class EncoderObjective<TTexts> : Objective where TTexts : TokenizedTexts
{
    private readonly string baseFolder;
    private Tokenizer? tokenizer;
    private KeptFeatures? kept;
    private Linear? probe;

    /// <param name="labels">Names of the head's outputs.</param>
    /// <param name="head">What the head is put on.</param>
    protected EncoderObjective(RunRecipe recipe, string baseFolder, IReadOnlyList<string> labels, EncoderHead head = EncoderHead.Sequence)
    {
        (Recipe, this.baseFolder, Labels) = (recipe, baseFolder, labels);
        CheckSizes(recipe, EncoderConfig.Read(baseFolder));
        (Classifier, Weights, NewHead) = LoadClassifier.ForTraining(baseFolder, labels, recipe.Dropout, recipe.Seed, head);
        if (recipe.Method != TrainingMethod.Full) Adapters = Lora.Attach(Classifier, EncoderAdapters.ConfigFor(recipe, Classifier, Weights), recipe.Seed);
        else if (recipe.TrainableLayers != TrainableLayers.All) TrainOnlyHeadAnd(recipe.TrainableLayers == TrainableLayers.LastBlocks ? recipe.LastBlocks : 0);
    }

    protected override Lora? Adapters { get; }

    public override string? MethodSaid => Adapters is null ? null
        : $"Adapters of rank {Recipe.LoraRank} on {string.Join(", ", Adapters.Config.Targets)} train, with {string.Join(", ", Adapters.Config.TrainedWhole!)} in full; everything else stays as it is.";

    /// <summary>Whether the head starts at random.</summary>
    protected bool NewHead { get; }

    /// <summary>What config.json of the saved folder says the head answers, where the number of labels does not say it.</summary>
    protected virtual string? ProblemType => null;

    protected RunRecipe Recipe { get; }

    protected IReadOnlyList<string> Labels { get; }

    protected SequenceClassifier Classifier { get; }

    public override nn.Module Model => Classifier;

    public override WeightReport Weights { get; }

    public override string HeadSaid => NewHead ? $"the head for {Labels.Count} labels starts at random with seed {Recipe.Seed}." : "the head was kept, because the labels are the same.";

    public override int Layers => Classifier.Config.Layers;

    public override TokenizedTexts Tokenize(IReadOnlyList<TrainingExample> rows, CancellationToken cancel)
    {
        tokenizer ??= FittingTokenizer();
        return Texts(rows, tokenizer, cancel);
    }

    public override TokenizedTexts Random(IReadOnlyList<int> lengths)
    {
        var (random, config) = (new Random(Recipe.Seed), Classifier.Config);
        int Token() => random.Next(config.VocabularySize) is var id && id == config.PadTokenId ? (id + 1) % config.VocabularySize : id;
        return Texts([.. lengths.Select(length => Enumerable.Range(0, length).Select(_ => Token()).ToArray())], config.PadTokenId);
    }

    /// <summary>Rows in tokens, cut to the recipe's length.</summary>
    protected abstract TTexts Texts(IReadOnlyList<TrainingExample> rows, Tokenizer tokenizer, CancellationToken cancel);

    /// <summary>Rows of random tokens, with any answers.</summary>
    protected abstract TTexts Texts(int[][] ids, int padId);

    public override void TrainMode() => Classifier.TrainMode();

    public override void TrainOnlyHeadAnd(int lastBlocks) => Classifier.TrainOnlyHeadAnd(lastBlocks);

    public override void Prepare(TokenizedTexts train) => Prepare((TTexts)train);

    protected virtual void Prepare(TTexts train)
    {
    }

    public override double WeightOf(TokenizedTexts texts, int[] rows) => WeightOf((TTexts)texts, rows);

    protected virtual double WeightOf(TTexts texts, int[] rows) => rows.Length;

    public override Tensor Loss(TokenizedTexts texts, int[] rows) => Loss((TTexts)texts, rows);

    protected abstract Tensor Loss(TTexts texts, int[] rows);

    public override Evaluation Measure(TokenizedTexts texts, IEnumerable<int[]> batches) => Measure((TTexts)texts, batches);

    protected abstract Evaluation Measure(TTexts texts, IEnumerable<int[]> batches);

    /// <summary>The head's output for rows: float32, [rows, labels], or [rows, length, labels] where it is on each token.</summary>
    protected Tensor Logits(TokenizedTexts texts, int[] rows) => kept?.Of(texts, rows) is { } features ? probe?.call(features) ?? Classifier.FromFeatures(features) : texts.Through(Classifier, rows);

    /// <summary>The same for all rows.</summary>
    protected Tensor Logits(TokenizedTexts texts) => Logits(texts, texts.AllRows);

    public override bool IsBackboneFixed => Recipe is { TrainableLayers: TrainableLayers.HeadOnly, Method: TrainingMethod.Full };

    public override long FeatureBytes(IEnumerable<int> lengths) => KeptFeatures.BytesOf(lengths, Classifier);

    public override void KeepFeatures(IReadOnlyList<TokenizedTexts> texts, Func<TokenizedTexts, IEnumerable<int[]>> batches)
    {
        kept?.Dispose();
        kept = null;
        kept = KeptFeatures.Compute(Classifier, [.. texts.Select(t => t.Stretches)], batches);
    }

    public override double ProbeLoss(TokenizedTexts train, TokenizedTexts validation, Func<TokenizedTexts, IEnumerable<int[]>> batches)
    {
        using var all = NewDisposeScope();
        try
        {
            using (no_grad())
            {
                using (MixedPrecision.Begin(Recipe.Precision)) kept = KeptFeatures.Compute(Classifier, [train.Stretches, validation.Stretches], batches, forProbe: true);
                kept.Standardise();
            }
            probe = nn.Linear(nn.Parameter(zeros(Labels.Count, Classifier.Config.HiddenSize)), nn.Parameter(zeros(Labels.Count)));
            using var optimizer = optim.AdamW(probe.parameters(), BackboneProbe.LearningRate(Classifier.Config.HiddenSize), weight_decay: 0);
            foreach (var rows in train.TrainBatches(BackboneProbe.BatchSize(train.Count), Recipe.Seed, epoch: 0))
            {
                using var scope = NewDisposeScope();
                optimizer.zero_grad();
                Loss(train, rows).backward();
                optimizer.step();
            }
            using (no_grad()) return Measure(validation, batches(validation)).Loss;
        }
        finally
        {
            probe?.Dispose();
            kept?.Dispose();
            (probe, kept) = (null, null);
        }
    }

    /// <summary>A complete folder of the whole model, adapters merged, and beside its files the adapters alone with the head.</summary>
    public override void Save(string folder)
    {
        Adapters?.Merge();
        try { SaveModelFolder.Write(Classifier, Labels, baseFolder, folder, ProblemType); }
        finally { Adapters?.Unmerge(); }
        if (Adapters is not null) LoraFolder.Write(Adapters, Path.Combine(folder, LoraFolder.Name), EncoderAdapters.TaskType(Classifier.Head));
    }

    /// <summary>Also of an objective that failed halfway through its making.</summary>
    public override void Dispose()
    {
        kept?.Dispose();
        Adapters?.Dispose();
        Classifier?.Dispose();
    }

    private Tokenizer FittingTokenizer()
    {
        var loaded = Tokenizer.Load(baseFolder);
        return loaded.LargestId < Classifier.Config.VocabularySize ? loaded
            : throw new TrainingException($"The tokenizer has token number {loaded.LargestId}, but the model's table ends at {Classifier.Config.VocabularySize - 1}; the folder mixes files of two models.");
    }

    private static void CheckSizes(RunRecipe recipe, EncoderConfig model)
    {
        if (recipe.MaxLength > model.MaxPositions)
            throw new TrainingException($"Max length is {recipe.MaxLength} tokens but the base model has only {model.MaxPositions} positions; set it to {model.MaxPositions} or less.");
        if (recipe.TrainableLayers == TrainableLayers.LastBlocks && recipe.LastBlocks > model.Layers)
            throw new TrainingException($"Last blocks is {recipe.LastBlocks} but the base model has {model.Layers} blocks.");
    }
}
