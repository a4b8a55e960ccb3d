using FineTuneStudio.Engine.Generation;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Text;
using FineTuneStudio.Engine.Weights;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace FineTuneStudio.Engine.Training;

/// <summary>
/// A language model that learns to answer prompts: cross-entropy of each answer token given the prompt and the tokens before it,
/// the mean over all answer tokens of a step, so that short answers count no more than their tokens.
/// </summary>
internal sealed class GenerationObjective : Objective
{
    /// <summary>Scores of one piece of an evaluation at the most; a vocabulary can have 150,000 words.</summary>
    private const long MostScores = 1 << 25;

    private const int SampledRows = 2, SampledTokens = 48;

    private readonly RunRecipe recipe;
    private readonly string baseFolder;
    private readonly string? stored;
    private readonly CausalLM model;
    private readonly Lora? lora;
    private Tokenizer? tokenizer;
    private PromptTemplate? template;

    /// <param name="stored">F32 or BF16: how weights are saved, in place of the base's types.</param>
    /// <param name="device">Where the model computes; null is the CPU.</param>
    public GenerationObjective(RunRecipe recipe, string baseFolder, string? stored = null, Device? device = null)
    {
        (this.recipe, this.baseFolder, this.stored) = (recipe, baseFolder, stored);
        (model, Weights) = LoadCausalLM.From(baseFolder, recipe.Dropout);
        if (device is not null) model.to(device);
        try
        {
            if (recipe.MaxLength > model.MaxPositions)
                throw new TrainingException($"Max length is {recipe.MaxLength} tokens but the base model has only {model.MaxPositions} positions; set it to {model.MaxPositions} or less.");
            if (recipe.Method != TrainingMethod.Full) lora = Lora.Attach(model, LoraConfigFor(recipe, model), recipe.Seed);
            else if (recipe.TrainableLayers == TrainableLayers.LastBlocks)
            {
                if (recipe.LastBlocks > model.Layers) throw new TrainingException($"Last blocks is {recipe.LastBlocks} but the base model has {model.Layers} blocks.");
                TrainOnlyHeadAnd(recipe.LastBlocks);
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <exception cref="TrainingException">A setting has no meaning for this task.</exception>
    public static new void Check(FineTuneJob job)
    {
        if (job.Recipe.TrainableLayers == TrainableLayers.HeadOnly)
            throw new TrainingException("Trainable layers is set to only the new head, but a language model has no new head; train all layers, the last blocks, or use LoRA.");
        if (job.Recipe.UnfreezeEpochs > 0)
            throw new TrainingException("Gradual unfreezing begins with a new head, which a language model does not have; set epochs per unfrozen block to 0.");
    }

    /// <summary>The adapters that a recipe asks for, with the names that the layers have in the model's family.</summary>
    public static LoraConfig LoraConfigFor(RunRecipe recipe, CausalLM model)
    {
        string[] targets = (model is Gpt2LMHeadModel, recipe.LoraTargets) switch
        {
            (true, LoraTargets.QueryValue) => ["c_attn"],
            (true, LoraTargets.Attention) => ["c_attn", "attn.c_proj"],
            (true, _) => ["c_attn", "c_fc", "c_proj"],
            (false, LoraTargets.QueryValue) => ["q_proj", "v_proj"],
            (false, LoraTargets.Attention) => ["q_proj", "k_proj", "v_proj", "o_proj"],
            _ => ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        };
        return new(recipe.LoraRank, recipe.LoraAlpha, targets, recipe.LoraDropout, recipe.Method == TrainingMethod.RsLora, recipe.Method == TrainingMethod.Dora);
    }

    public override nn.Module Model => model;

    public override WeightReport Weights { get; }

    public override string HeadSaid => lora is null ? (recipe.TrainableLayers == TrainableLayers.LastBlocks ? $"its last {(recipe.LastBlocks == 1 ? "block trains" : $"{recipe.LastBlocks} blocks train")}." : "all of it trains.")
        : $"it stays as it is, and adapters of rank {recipe.LoraRank} on {string.Join(", ", lora.Config.Targets)} train beside it.";

    public override int Layers => model.Layers;

    protected override Lora? Adapters => lora;

    public override double LossOfGuessing => Math.Log(model.VocabularySize);

    public override TokenizedTexts Tokenize(IReadOnlyList<TrainingExample> rows, CancellationToken cancel)
    {
        if (tokenizer is null)
        {
            tokenizer = LoadTokenizer();
            template = PromptTemplate.For(baseFolder, tokenizer, recipe.PromptFormat);
            Say(template.Said);
        }
        var texts = AnsweredTexts.Of(rows, template!, tokenizer.PadId, recipe.MaxLength, cancel);
        // A short prompt keeps all of it beside an answer that loses its end.
        if (texts.Cut is var (prompts, answers) && prompts + answers > 0)
            Say($"Rows are longer than {recipe.MaxLength} tokens: of {rows.Count}, {(prompts == 1 ? "1 prompt lost its" : $"{prompts} prompts lost their")} beginning and {(answers == 1 ? "1 answer its" : $"{answers} answers their")} end.");
        return texts;
    }

    /// <exception cref="TokenizerFileException">The base model's tokenizer is missing or broken.</exception>
    /// <exception cref="TrainingException">It is not the model's.</exception>
    internal Tokenizer LoadTokenizer()
    {
        var found = Tokenizer.Load(baseFolder);
        return found.LargestId < model.VocabularySize ? found
            : throw new TrainingException($"The tokenizer has token number {found.LargestId}, but the model's table ends at {model.VocabularySize - 1}; the folder mixes files of two models.");
    }

    public override TokenizedTexts Random(IReadOnlyList<int> lengths)
    {
        var random = new Random(recipe.Seed);
        // About as much of each row counts as in a question with a longer answer; time and memory do not depend on it.
        return new AnsweredTexts([.. lengths.Select(length => Enumerable.Range(0, Math.Max(2, length)).Select(_ => random.Next(model.VocabularySize)).ToArray())],
            [.. lengths.Select(length => Math.Max(2, length) / 2)], 0);
    }

    public override void TrainMode() => model.train();

    public override void TrainOnlyHeadAnd(int lastBlocks)
    {
        foreach (var (name, parameter) in model.named_parameters())
            parameter.requires_grad_(RecipeOptimizer.BlockOf(name) is { } block ? block >= model.Layers - lastBlocks : name.StartsWith("lm_head") || name.Contains("ln_f") || name.Contains("model.norm"));
    }

    public override double WeightOf(TokenizedTexts texts, int[] rows) => rows.Sum(((AnsweredTexts)texts).Learned);

    public override Tensor Loss(TokenizedTexts texts, int[] rows)
    {
        var answered = (AnsweredTexts)texts;
        if (recipe.Packing == Packing.Off)
        {
            var (ids, mask) = texts.Batch(rows);
            return model.Loss(ids, mask, null, answered.LabelsOf(rows));
        }
        var (packed, segments, positions, labels) = answered.Packed(rows, recipe.MaxLength);
        return model.Loss(packed, CausalLM.PackedMask(segments), positions, labels);
    }

    public override Evaluation Measure(TokenizedTexts texts, IEnumerable<int[]> batches)
    {
        var (loss, tokens, right) = (0.0, 0.0, 0.0);
        foreach (var rows in batches)
            foreach (var row in Losses(model, (AnsweredTexts)texts, rows)) (loss, tokens, right) = (loss + row.Loss, tokens + row.Tokens, right + row.Right);
        return new(loss / tokens, new Dictionary<Metric, double> { [Metric.Perplexity] = Math.Exp(loss / tokens), [Metric.TokenAccuracy] = right / tokens });
    }

    public override double ProbeLoss(TokenizedTexts train, TokenizedTexts validation, Func<TokenizedTexts, IEnumerable<int[]>> batches)
    {
        using var noGrad = no_grad();
        using var mixed = MixedPrecision.Begin(recipe.Precision);
        return Measure(validation, batches(validation)).Loss;
    }

    /// <summary>The losses of rows, in their order, a few rows at a time. Without gradients.</summary>
    internal static IReadOnlyList<AnswerLoss> Losses(CausalLM model, AnsweredTexts texts, int[] rows)
    {
        List<AnswerLoss> found = [];
        var most = (int)Math.Max(1, MostScores / ((long)rows.Max(texts.Length) * model.VocabularySize));
        foreach (var part in rows.Chunk(most))
        {
            using var scope = NewDisposeScope();
            var (ids, mask) = texts.Batch(part);
            var labels = texts.LabelsOf(part);
            var (logits, next) = (model.call(ids, mask).to(float32).narrow(1, 0, ids.shape[1] - 1), labels.narrow(1, 1, labels.shape[1] - 1));
            var counts = next.ne(AnsweredTexts.Ignored);
            var losses = F.cross_entropy(logits.reshape(-1, logits.shape[2]), next.reshape(-1), reduction: nn.Reduction.None).view(next.shape);
            var sums = losses.to(float64).sum(1).cpu().data<double>().ToArray();
            var tokens = counts.to(int64).sum(1).cpu().data<long>().ToArray();
            var right = logits.argmax(-1).eq(next).logical_and(counts).to(int64).sum(1).cpu().data<long>().ToArray();
            for (var i = 0; i < part.Length; i++) found.Add(new(sums[i], (int)tokens[i], (int)right[i]));
        }
        return found;
    }

    public override IEnumerable<string> Samples(TokenizedTexts texts, CancellationToken cancel)
    {
        if (template is null || texts.Count == 0) yield break;
        var answered = (AnsweredTexts)texts;
        var most = Math.Min(SampledTokens, model.MaxPositions - 1);
        var prompts = Enumerable.Range(0, Math.Min(SampledRows, texts.Count)).Select(row => (IReadOnlyList<int>)AnsweredTexts.ShortenPrompt([.. answered.PromptOf(row)], model.MaxPositions - most)).ToList();
        var answers = Generate.Run(model, prompts, new GenerationOptions { MaxNewTokens = most, EndTokenIds = template.EndTokenIds }, cancel);
        for (var i = 0; i < prompts.Count; i++) yield return $"Validation row {i + 1}: “{Short(template.Text(prompts[i]), fromEnd: true)}” → “{Short(template.Text(answers[i].Ids), fromEnd: false)}”";
    }

    private static string Short(string text, bool fromEnd)
    {
        text = text.ReplaceLineEndings(" ").Trim();
        return text.Length <= 120 ? text : fromEnd ? "…" + text[^119..] : text[..119] + "…";
    }

    /// <summary>A complete folder of the whole model, adapters merged, and beside its files the adapters alone in adapter/.</summary>
    public override void Save(string folder)
    {
        if (lora is null)
        {
            SaveModelFolder.Write(model, baseFolder, folder, stored);
            return;
        }
        lora.Merge();
        try { SaveModelFolder.Write(model, baseFolder, folder, stored); }
        finally { lora.Unmerge(); }
        LoraFolder.Write(lora, Path.Combine(folder, LoraFolder.Name), "CAUSAL_LM");
    }

    public override void Dispose()
    {
        lora?.Dispose();
        model?.Dispose();
    }
}

/// <summary>How well a model foresees the answer of one row.</summary>
/// <param name="Loss">Sum over the answer's tokens of minus their log-probability, in nats.</param>
/// <param name="Tokens">Tokens of the answer, its end included.</param>
/// <param name="Right">Of them, those that the model holds for the likeliest.</param>
public sealed record AnswerLoss(double Loss, int Tokens, int Right);
