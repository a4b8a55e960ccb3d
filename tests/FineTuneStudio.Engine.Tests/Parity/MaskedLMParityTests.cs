using System.Text.Json;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Weights;
using TorchSharp;
using static TorchSharp.torch;
using Xunit.Abstractions;
using F = TorchSharp.torch.nn.functional;

namespace FineTuneStudio.Engine.Tests.Parity;

/// <summary>BERT with the head for masked words against Hugging Face's BertForPreTraining, and against gradients that Goldens/masked-lm.py made with torch 1.13.</summary>
[Collection("training")]
public sealed class MaskedLMParityTests(ITestOutputHelper output) : IDisposable
{
    private readonly string folder = Shared.Find("goldens/bert-tiny-oldnames");
    private readonly JsonElement golden = Repository.GoldenJson("masked-lm.json"), inputs = Repository.GoldenJson("bert-tiny/inputs.json");
    private readonly Deviations deviations = new(output, "bert-tiny-oldnames");

    private (Tensor Ids, Tensor Mask, Tensor Types) Inputs() => (Numbers("input_ids"), Numbers("attention_mask"), Numbers("token_type_ids"));

    private Tensor Numbers(string name) => CausalParityTests.Numbers(inputs.GetProperty(name));

    /// <summary>Where words are asked for, counted over all rows, and which.</summary>
    private (Tensor Positions, Tensor Targets) Asked()
    {
        var labels = golden.GetProperty("labels").EnumerateArray().SelectMany(r => r.EnumerateArray()).Select(v => v.GetInt64()).ToArray();
        var positions = Enumerable.Range(0, labels.Length).Where(i => labels[i] != -100).Select(i => (long)i).ToArray();
        return (tensor(positions), tensor(positions.Select(i => labels[i]).ToArray()));
    }

    private BertForMaskedLM Model()
    {
        var (model, report) = LoadMaskedLM.From(folder, dropout: 0, seed: 1);
        Assert.Empty(report.Missing);
        Assert.Equal(["bert.embeddings.position_ids"], report.Unexpected);
        return model;
    }

    [SkippableFact]
    public void The_scores_of_all_words_equal_the_reference()
    {
        using var model = Model();
        using var scope = NewDisposeScope();
        var (ids, mask, types) = Inputs();
        var logits = model.At(ids, mask, arange(ids.numel(), dtype: int64), types);
        using var file = SafetensorsFile.Open(Path.Combine(folder, "expected.safetensors"));
        var first = empty(file.Entries["mlm_logits_row0"].Shape);
        StoredTensor.CopyTo(file, file.Entries["mlm_logits_row0"], first);
        deviations.Absolute("scores of masked words", "mlm_logits_row0", (first.squeeze(0) - logits.narrow(0, 0, ids.shape[1])).abs().max().ToDouble(), 1e-4);
        var sums = Repository.Json(Path.Combine(folder, "expected.json")).GetProperty("prediction_logits");
        deviations.Relative("scores of masked words, absolute sum", "abs_sum", sums.GetProperty("abs_sum").GetDouble(), logits.abs().sum().ToDouble(), 1e-5);
    }

    [SkippableFact]
    public void Loss_and_every_gradient_of_the_asked_words_equal_the_reference()
    {
        using var model = Model();
        using var scope = NewDisposeScope();
        var (ids, mask, types) = Inputs();
        var (positions, targets) = Asked();
        var loss = F.cross_entropy(model.At(ids, mask, positions, types), targets);
        deviations.Relative("loss of masked words", "loss", golden.GetProperty("loss").GetDouble(), loss.item<float>(), 1e-5);
        loss.backward();
        CompareGradients(model, "gradients", "gradient norms of masked words");
    }

    [SkippableFact]
    public void Scores_loss_and_gradients_of_pairs_equal_the_reference()
    {
        using var model = Model();
        using var scope = NewDisposeScope();
        var (ids, mask, types) = Inputs();
        var pairs = model.Both(ids, mask, Asked().Positions, types).Pairs!;
        deviations.Absolute("scores of pairs", "pairs", (tensor(golden.GetProperty("pairs").EnumerateArray().SelectMany(r => r.EnumerateArray()).Select(v => v.GetSingle()).ToArray(), pairs.shape) - pairs).abs().max().ToDouble(), 1e-5);
        var loss = F.cross_entropy(pairs, arange(ids.shape[0], dtype: int64).remainder(2));
        deviations.Relative("loss of pairs", "pair_loss", golden.GetProperty("pair_loss").GetDouble(), loss.item<float>(), 1e-5);
        loss.backward();
        CompareGradients(model, "pair_gradients", "gradient norms of pairs");
    }

    private void CompareGradients(BertForMaskedLM model, string reference, string title)
    {
        var found = model.named_parameters().Where(p => p.parameter.grad is not null).ToDictionary(p => p.name, p => p.parameter.grad!);
        var gradients = golden.GetProperty(reference);
        Assert.Equal(gradients.EnumerateObject().Select(p => p.Name).Order(), found.Keys.Order());
        foreach (var expected in gradients.EnumerateObject())
            deviations.Relative(title, expected.Name, expected.Value.GetProperty("norm").GetDouble(), found[expected.Name].norm().ToDouble(), 1e-4, 1e-6);
    }

    [SkippableFact]
    public void Scores_at_some_tokens_are_those_of_all_tokens()
    {
        using var model = Model();
        using var scope = NewDisposeScope();
        var (ids, mask, _) = Inputs();
        var (positions, _) = Asked();
        var all = model.call(ids, mask);
        Assert.Equal([ids.shape[0], ids.shape[1], model.Config.VocabularySize], all.shape);
        deviations.Absolute("scores at some tokens and at all", "logits", (all.view(-1, model.Config.VocabularySize).index_select(0, positions) - model.At(ids, mask, positions)).abs().max().ToDouble(), 1e-4);
    }

    public void Dispose() => deviations.Dispose();
}
