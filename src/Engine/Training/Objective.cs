using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Weights;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Training;

/// <summary>A mean loss and the task's metrics on some rows.</summary>
internal sealed record Evaluation(double Loss, IReadOnlyDictionary<Metric, double> Scores)
{
    public double this[Metric metric] => metric == Metric.ValidationLoss ? Loss : Scores[metric];
}

/// <summary>
/// What a run learns: its model, how rows become a loss, what an evaluation measures and what is saved. The loop of
/// <see cref="FineTune"/> and the steps of <see cref="DryRun"/> know no more of a task than this.
/// </summary>
internal abstract class Objective : IDisposable
{
    /// <summary>Loads the base model for a task.</summary>
    /// <exception cref="WeightFileException">The base model's files do not fit.</exception>
    /// <exception cref="TrainingException">The recipe does not fit the model.</exception>
    public static Objective For(TextTask task, RunRecipe recipe, string baseFolder, IReadOnlyList<string> labels) => Load(task, recipe, baseFolder, labels).WithCheckpoints(recipe);

    /// <summary>Computes blocks again in backward where the recipe says so.</summary>
    public Objective WithCheckpoints(RunRecipe recipe)
    {
        if (recipe.ActivationCheckpointing == ActivationCheckpointing.Off) return this;
        checkpoints = new(() => Trained.Where(p => p.Parameter.requires_grad).Select(p => (RecipeOptimizer.BlockOf(p.Name), p.Parameter)), () => MixedPrecision.Begin(recipe.Precision));
        switch (Model)
        {
            case CausalLM written: written.Checkpoints = checkpoints; break;
            case BertForMaskedLM masked: masked.Checkpoints = checkpoints; break;
            default: ((SequenceClassifier)Model).Checkpoints = checkpoints; break;
        }
        return this;
    }

    private ActivationCheckpoints? checkpoints;

    /// <summary>Whether any block has gradients now.</summary>
    public bool TrainsBlocks => Trained.Any(p => p.Parameter.requires_grad && RecipeOptimizer.BlockOf(p.Name) is not null);

    private static Objective Load(TextTask task, RunRecipe recipe, string baseFolder, IReadOnlyList<string> labels) => task switch
    {
        TextTask.SingleLabel => new SingleLabelObjective(recipe, baseFolder, labels),
        TextTask.Generation => new GenerationObjective(recipe, baseFolder),
        TextTask.TokenClassification => new TokenTagObjective(recipe, baseFolder, labels),
        TextTask.MultiLabel => new MultiLabelObjective(recipe, baseFolder, labels),
        TextTask.Regression => new RegressionObjective(recipe, baseFolder),
        TextTask.QuestionAnswering => new AnswerSpanObjective(recipe, baseFolder),
        _ => throw new ArgumentOutOfRangeException(nameof(task)),
    };

    /// <summary>Whether labels and rows can be learned from, before any file is read.</summary>
    /// <exception cref="TrainingException">They cannot; the sentence says why.</exception>
    public static void Check(FineTuneJob job)
    {
        switch (job.Task)
        {
            case TextTask.SingleLabel: SingleLabelObjective.Check(job); break;
            case TextTask.Generation: GenerationObjective.Check(job); break;
            case TextTask.TokenClassification: TokenTagObjective.Check(job); break;
            case TextTask.MultiLabel: MultiLabelObjective.Check(job); break;
            case TextTask.Regression: RegressionObjective.Check(job); break;
            case TextTask.QuestionAnswering: AnswerSpanObjective.Check(job); break;
            default: throw new ArgumentOutOfRangeException(nameof(job));
        }
        if (job.Task != TextTask.Generation && EncoderAdapters.Contradictions(job.Recipe).FirstOrDefault() is { Sentence: { } contradiction }) throw new TrainingException(contradiction);
    }

    /// <summary>Tokens of a row that a step learns from at most; more than the recipe's length where a row is learned in several windows.</summary>
    public static int LongestRow(TextTask task, RunRecipe recipe) => task == TextTask.QuestionAnswering ? QuestionTexts.LearnedWindows * recipe.MaxLength : recipe.MaxLength;

    public abstract nn.Module Model { get; }

    /// <summary>What came from the base model's file.</summary>
    public abstract WeightReport Weights { get; }

    /// <summary>A sentence on where the head comes from, for the run's log; it begins in small letters.</summary>
    public abstract string HeadSaid { get; }

    /// <summary>Blocks of the model.</summary>
    public abstract int Layers { get; }

    /// <summary>Adapters that are trained in place of the model's own weights; null where there are none.</summary>
    protected virtual Lora? Adapters => null;

    /// <summary>A sentence for the run's log on what trains, where that is not all of the model; else null.</summary>
    public virtual string? MethodSaid => null;

    /// <summary>The parameters that the optimizer may change.</summary>
    public IEnumerable<(string Name, Parameter Parameter)> Trained => Adapters?.Parameters() ?? Model.named_parameters().Select(p => (p.name, p.parameter)).Where(p => p.parameter.requires_grad);

    /// <summary>All numbers in the model, with those of the adapters beside it.</summary>
    public long TotalParameters => Model.parameters().Sum(p => p.numel()) + (Adapters?.Added ?? 0);

    /// <summary>Set before the first step of each pass over the train texts, from 0: what is drawn for a text anew in each pass depends on it.</summary>
    public int Epoch { protected get; set; }

    /// <summary>Takes a sentence for the run's log.</summary>
    public Action<string> Say { protected get; set; } = _ => { };

    /// <summary>Forgets the gradients of what is trained. Adapters are no part of the model, so it does not know theirs.</summary>
    public void ZeroGrad()
    {
        Model.zero_grad();
        foreach (var (_, parameter) in Adapters?.Parameters() ?? []) parameter.grad = null;
    }

    /// <summary>Lines for the run's log on what the model does with a few rows, after an evaluation.</summary>
    public virtual IEnumerable<string> Samples(TokenizedTexts texts, CancellationToken cancel) => [];

    /// <summary>The loss of a model that knows nothing but how many answers there are; a loss far above it has diverged. 0 where there is no such number.</summary>
    public virtual double LossOfGuessing => 0;

    /// <summary>Rows as the model reads them, with what they teach.</summary>
    /// <exception cref="Text.TokenizerFileException">The base model's tokenizer is missing or broken.</exception>
    /// <exception cref="TrainingException">The tokenizer is not the model's.</exception>
    public abstract TokenizedTexts Tokenize(IReadOnlyList<TrainingExample> rows, CancellationToken cancel);

    /// <summary>Rows of given lengths in tokens whose ids and answers mean nothing: what steps cost depends on the lengths alone.</summary>
    public abstract TokenizedTexts Random(IReadOnlyList<int> lengths);

    /// <summary>Called once with the train rows before the first step.</summary>
    public virtual void Prepare(TokenizedTexts train)
    {
    }

    /// <summary>Whether nothing below the head ever changes in a run, so that what it makes of each row can be computed once.</summary>
    public virtual bool IsBackboneFixed => false;

    /// <summary>Memory that the features of stretches of given lengths in tokens take, see <see cref="KeptFeatures"/>.</summary>
    public virtual long FeatureBytes(IEnumerable<int> lengths) => 0;

    /// <summary>
    /// Computes what lies below the head once for all stretches of texts; from then on the loss and the measures of these texts compute the
    /// head alone, and those of other texts everything, as before. Called in evaluation mode and without gradients, where <see cref="IsBackboneFixed"/>.
    /// </summary>
    /// <param name="batches">The stretches that are computed together.</param>
    public virtual void KeepFeatures(IReadOnlyList<TokenizedTexts> texts, Func<TokenizedTexts, IEnumerable<int[]>> batches)
    {
    }

    /// <summary>
    /// The loss on validation rows by which <see cref="BackboneProbe"/> judges what the model knows as it is now: of a new linear head after one epoch on the train rows, or
    /// where there is no new head of the model itself. Called in evaluation mode; the model is not changed.
    /// </summary>
    /// <param name="batches">The rows that are computed together.</param>
    public abstract double ProbeLoss(TokenizedTexts train, TokenizedTexts validation, Func<TokenizedTexts, IEnumerable<int[]>> batches);

    /// <summary>Training mode; what is frozen stays in evaluation mode.</summary>
    public abstract void TrainMode();

    /// <summary>Takes all but the head and the last blocks out of training.</summary>
    public abstract void TrainOnlyHeadAnd(int lastBlocks);

    /// <summary>How much rows count together in a step's loss; <see cref="Loss"/> is the mean over this weight.</summary>
    public virtual double WeightOf(TokenizedTexts texts, int[] rows) => rows.Length;

    /// <summary>The loss to lower on these rows, a float32 scalar with gradients.</summary>
    public abstract Tensor Loss(TokenizedTexts texts, int[] rows);

    /// <summary>Adds the gradients of the loss that was computed last to those of what is trained.</summary>
    public void Backward(Tensor loss)
    {
        if (checkpoints is null) loss.backward();
        else checkpoints.Backward(loss);
    }

    /// <summary>Loss and metrics on the rows of all batches. Called in evaluation mode and without gradients.</summary>
    public abstract Evaluation Measure(TokenizedTexts texts, IEnumerable<int[]> batches);

    /// <summary>Writes or renews a complete Hugging Face folder of the model as it is now.</summary>
    public abstract void Save(string folder);

    public abstract void Dispose();
}
