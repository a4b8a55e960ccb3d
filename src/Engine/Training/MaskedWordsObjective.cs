using System.Globalization;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Text;
using FineTuneStudio.Engine.Weights;
using TorchSharp;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace FineTuneStudio.Engine.Training;

/// <summary>
/// BERT's pretraining (Devlin et al. 2019, arXiv:1810.04805) on blocks of running text: the cross-entropy of masked words, the mean over all
/// masked words of a step. Where the model has a head for pairs, a block is two halves, and in every other row, by chance, the second half is of another
/// block; a tenth of the cross-entropy of telling which is added, a row counting as much as it has masked words. An evaluation masks the
/// same words each time.
/// </summary>
internal sealed class MaskedWordsObjective : Objective
{
    /// <summary>Scores of one piece of an evaluation at the most.</summary>
    private const long MostScores = 1 << 25;

    private const int InEvaluation = -1;

    /// <summary>
    /// Of the loss of pairs beside that of words. Devlin et al. add both whole, and the gradient of pairs is then the larger one in a small model's
    /// first thousands of steps, in which it knows words by their frequency alone (docs/decisions/0010).
    /// </summary>
    private const double PairsWeight = 0.1;

    private readonly RunRecipe recipe;
    private readonly string baseFolder, stored;
    private readonly Device? device;
    private readonly BertForMaskedLM model;
    private readonly TokenMasking masking;
    private readonly int cls;
    private double pairsTold;

    /// <param name="stored">F32 or BF16: how weights are saved.</param>
    /// <param name="device">Where the model computes; null is the CPU.</param>
    /// <exception cref="WeightFileException">The base model's files do not fit.</exception>
    /// <exception cref="TokenizerFileException">The base model's tokenizer is missing or broken.</exception>
    /// <exception cref="TrainingException">The recipe or the tokenizer does not fit the model.</exception>
    public MaskedWordsObjective(RunRecipe recipe, string baseFolder, string stored = "F32", Device? device = null)
    {
        (this.recipe, this.baseFolder, this.stored, this.device) = (recipe, baseFolder, stored, device);
        (model, Weights) = LoadMaskedLM.From(baseFolder, recipe.Dropout, recipe.Seed);
        if (device is not null) model.to(device);
        try
        {
            if (recipe.MaxLength > model.Config.MaxPositions)
                throw new TrainingException($"Max length is {recipe.MaxLength} tokens but the base model has only {model.Config.MaxPositions} positions; set it to {model.Config.MaxPositions} or less.");
            var tokenizer = Tokenizer.Load(baseFolder);
            if (tokenizer.LargestId >= model.Config.VocabularySize)
                throw new TrainingException($"The tokenizer has token number {tokenizer.LargestId}, but the model's table ends at {model.Config.VocabularySize - 1}; the folder mixes files of two models.");
            int Special(string token) => tokenizer.IdOf(token) ?? throw new TrainingException($"The tokenizer has no {token}, which a model that fills in masked words needs.");
            (cls, EndId) = (Special("[CLS]"), Special("[SEP]"));
            var mask = Special("[MASK]");
            masking = new(mask, model.Config.VocabularySize, new HashSet<int> { cls, EndId, Special("[PAD]"), Special("[UNK]"), mask });
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The id that stands between documents, and at the end of a text.</summary>
    public int EndId { get; }

    /// <summary>Tokens of a block, so that it fits the length with the template's tokens.</summary>
    public int BlockLength => recipe.MaxLength - (model.HasNextSentence ? 3 : 2);

    public override nn.Module Model => model;

    public override WeightReport Weights { get; }

    public override string HeadSaid => $"all of it trains, with its head for words{(model.HasNextSentence ? " and one for whether two texts follow each other" : "")}.{(New is { Count: > 0 } parts ? $" New, at random with seed {recipe.Seed}: {string.Join(", ", parts)}." : "")}";

    /// <summary>What the files lack, each part as a whole or by the names of what is missing of it.</summary>
    private IReadOnlyList<string> New => [.. new[] { ("cls.predictions.", "the head for words"), (model.Config.Prefix + "pooler.", "the pooler that the head for pairs reads"), ("cls.seq_relationship.", "the head for pairs") }
        .Select(part => (Said: part.Item2, Of: model.named_parameters().Count(p => p.name.StartsWith(part.Item1)), Lacks: Weights.Missing.Where(n => n.StartsWith(part.Item1)).ToList()))
        .Where(part => part.Lacks.Count > 0).Select(part => part.Lacks.Count == part.Of ? part.Said : string.Join(", ", part.Lacks))];

    public override int Layers => model.Config.Layers;

    public override double LossOfGuessing => Math.Log(model.Config.VocabularySize) + (model.HasNextSentence ? PairsWeight * Math.Log(2) : 0);

    public override TokenizedTexts Tokenize(IReadOnlyList<TrainingExample> rows, CancellationToken cancel) => throw new InvalidOperationException("Pretraining reads packed texts.");

    public override TokenizedTexts Random(IReadOnlyList<int> lengths)
    {
        var random = new Random(recipe.Seed);
        return new([.. lengths.Select(_ => Enumerable.Range(0, BlockLength).Select(_ => random.Next(model.Config.VocabularySize)).ToArray())], 0);
    }

    public override void TrainMode() => model.train();

    public override void TrainOnlyHeadAnd(int lastBlocks) => throw new InvalidOperationException("Pretraining trains all layers.");

    /// <summary>A block with its special tokens and masks, and whether its second half follows; always, where there is no head for pairs.</summary>
    internal (int[] Ids, int Split, int[] Positions, int[] Targets, bool Follows) Row(TokenizedTexts texts, int row, int epoch)
    {
        var block = texts.Ids(row);
        if (!model.HasNextSentence) return Masked([cls, .. block, EndId], block.Length + 2, true);
        var (random, half, other) = (new Random(RowSeed.Of(~recipe.Seed, epoch, row)), block.Length / 2, row);
        if (texts.Count > 1 && random.Next(2) == 1)
        {
            other = random.Next(texts.Count - 1);
            if (other >= row) other++;
        }
        return Masked([cls, .. block[..half], EndId, .. (other == row ? block : texts.Ids(other))[half..], EndId], half + 2, other == row);

        (int[], int, int[], int[], bool) Masked(int[] ids, int split, bool follows)
        {
            var (seen, positions, targets) = masking.Mask(ids, recipe.Seed, epoch, row);
            return (seen, split, positions, targets, follows);
        }
    }

    public override double WeightOf(TokenizedTexts texts, int[] rows) => rows.Sum(row => Row(texts, row, Epoch).Targets.Length);

    public override Tensor Loss(TokenizedTexts texts, int[] rows)
    {
        var (words, targets, pairs, follows, weights) = Scores(texts, rows, Epoch);
        var loss = F.cross_entropy(words, targets);
        return pairs is null ? loss : loss + PairsWeight * (F.cross_entropy(pairs, follows, reduction: nn.Reduction.None).mul(weights).sum() / weights.sum());
    }

    /// <summary>Scores of words float32 [masked, vocabulary] and of pairs [rows, 2], with what is right, int64 [masked] and [rows], and the masked words of each row, float32 [rows].</summary>
    private (Tensor Words, Tensor Targets, Tensor? Pairs, Tensor Follows, Tensor Weights) Scores(TokenizedTexts texts, int[] rows, int epoch)
    {
        var made = rows.AsParallel().AsOrdered().Select(row => Row(texts, row, epoch)).ToArray();
        var length = made[0].Ids.Length;
        var (ids, types) = (new long[made.Length * length], new long[made.Length * length]);
        List<long> positions = [], targets = [];
        for (var i = 0; i < made.Length; i++)
        {
            for (var j = 0; j < length; j++) (ids[i * length + j], types[i * length + j]) = (made[i].Ids[j], j < made[i].Split ? 0 : 1);
            positions.AddRange(made[i].Positions.Select(p => (long)i * length + p));
            targets.AddRange(made[i].Targets.Select(t => (long)t));
        }
        long[] shape = [made.Length, length];
        Tensor Numbers(IEnumerable<long> values) => tensor(values.ToArray(), device: device);
        var (words, pairs) = model.Both(tensor(ids, shape, device: device), null, Numbers(positions), model.HasNextSentence ? tensor(types, shape, device: device) : null);
        return (words, Numbers(targets), pairs, Numbers(made.Select(m => m.Follows ? 0L : 1L)), tensor(made.Select(m => (float)m.Targets.Length).ToArray(), device: device));
    }

    public override Evaluation Measure(TokenizedTexts texts, IEnumerable<int[]> batches)
    {
        var (loss, pairLoss, masked, right, rows, told) = (0.0, 0.0, 0.0, 0.0, 0, 0.0);
        foreach (var batch in batches)
            foreach (var part in batch.Chunk((int)Math.Max(1, MostScores / ((long)recipe.MaxLength / 4 * model.Config.VocabularySize))))
            {
                using var scope = NewDisposeScope();
                var (words, targets, pairs, follows, weights) = Scores(texts, part, InEvaluation);
                loss += F.cross_entropy(words, targets, reduction: nn.Reduction.Sum).item<float>();
                right += words.argmax(-1).eq(targets).to(int64).sum().item<long>();
                (masked, rows) = (masked + targets.shape[0], rows + part.Length);
                if (pairs is null) continue;
                pairLoss += F.cross_entropy(pairs, follows, reduction: nn.Reduction.None).mul(weights).sum().item<float>();
                told += pairs.argmax(-1).eq(follows).to(int64).sum().item<long>();
            }
        pairsTold = told / rows;
        return new((loss + PairsWeight * pairLoss) / masked, new Dictionary<Metric, double> { [Metric.Perplexity] = Math.Exp(loss / masked), [Metric.TokenAccuracy] = right / masked });
    }

    public override double ProbeLoss(TokenizedTexts train, TokenizedTexts validation, Func<TokenizedTexts, IEnumerable<int[]>> batches) => Measure(validation, batches(validation)).Loss;

    public override void Save(string folder) => SaveModelFolder.Write(model, baseFolder, folder, stored);

    public override IEnumerable<string> Samples(TokenizedTexts texts, CancellationToken cancel)
    {
        if (model.HasNextSentence) yield return string.Create(CultureInfo.InvariantCulture, $"Of {pairsTold:P1} of a sample of train texts it can tell whether their second half follows the first; half is chance.");
    }

    public override void Dispose() => model?.Dispose();
}
