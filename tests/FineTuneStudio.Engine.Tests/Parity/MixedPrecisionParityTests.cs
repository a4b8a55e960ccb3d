using System.Text.Json;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using Xunit.Abstractions;
using F = TorchSharp.torch.nn.functional;

namespace FineTuneStudio.Engine.Tests.Parity;

/// <summary>
/// bf16 mixed precision against Python torch 1.13's autocast; Goldens/bf16.py made the numbers. bfloat16 keeps 8 bits, and kernels of other
/// processors add in other orders, so a number may be twice as far from the reference as the reference is from float32. (With the kernels that made the
/// numbers, AVX2, BERT's are as close as float32's; Llama's turns are float32 here and bfloat16 there.)
/// </summary>
[Collection("training")]
public sealed class MixedPrecisionParityTests(ITestOutputHelper output)
{
    private readonly JsonElement golden = Repository.GoldenJson("bf16.json");

    [Fact]
    public void Bert_gives_the_references_logits_loss_and_gradients()
    {
        var inputs = Repository.GoldenJson("bert-tiny/inputs.json");
        using var model = LoadClassifier.ForPrediction(Repository.PracticeModel).Model;
        using var scope = NewDisposeScope();
        var (ids, mask, types) = (CausalParityTests.Numbers(inputs.GetProperty("input_ids")), CausalParityTests.Numbers(inputs.GetProperty("attention_mask")), CausalParityTests.Numbers(inputs.GetProperty("token_type_ids")));
        var labels = tensor(inputs.GetProperty("labels").EnumerateArray().Select(v => v.GetInt64()).ToArray());
        Compare("bert-tiny", model, () => model.call(ids, mask, types), logits => F.cross_entropy(logits, labels), logits => logits);
    }

    [SkippableFact]
    public void Llama_gives_the_references_logits_loss_and_gradients()
    {
        var llama = CausalParityTests.Golden.Open("llama-tiny");
        using (llama) Compare("llama-tiny", llama.Model, () => llama.Model.call(llama.Ids, llama.Mask), logits => CausalLM.Loss(logits, llama.Labels), logits => logits.select(1, 1).narrow(1, 0, 100).to(float32));
    }

    private void Compare(string name, nn.Module model, Func<Tensor> forward, Func<Tensor, Tensor> lossOf, Func<Tensor, Tensor> shown)
    {
        using var scope = NewDisposeScope();
        var expected = golden.GetProperty(name);
        Tensor logits, loss;
        using (MixedPrecision.Begin(Precision.Bf16))
        {
            logits = forward();
            loss = lossOf(logits);
        }
        loss.backward();
        var exact = shown(forward());

        var reference = tensor(expected.GetProperty("logits").EnumerateArray().Select(v => v.GetSingle()).ToArray()).view(exact.shape);
        var rounding = expected.GetProperty("logits_from_float32").GetDouble();
        Near("logits", (shown(logits) - reference).norm().ToDouble(), rounding);
        Assert.InRange((shown(logits) - exact).norm().ToDouble(), rounding / 4, rounding * 4);
        Assert.Equal(float32, loss.dtype);
        // A mean of few losses can come out near float32's by chance.
        Near("loss", Math.Abs(loss.item<float>() - expected.GetProperty("loss").GetDouble()), Math.Max(expected.GetProperty("loss_from_float32").GetDouble(), 1e-3 * expected.GetProperty("loss").GetDouble()));

        var gradients = expected.GetProperty("gradients");
        var found = model.named_parameters().Where(p => p.parameter.grad is not null).ToDictionary(p => p.name, p => p.parameter.grad!);
        Assert.Equal(gradients.EnumerateObject().Select(g => g.Name).Order(StringComparer.Ordinal), found.Keys.Order(StringComparer.Ordinal));
        foreach (var gradient in gradients.EnumerateObject())
        {
            var (own, away) = (found[gradient.Name], gradient.Value.GetProperty("distance_from_float32").GetDouble());
            Assert.Equal(float32, own.dtype);
            Near($"norm of {gradient.Name}", Math.Abs(own.norm().ToDouble() - gradient.Value.GetProperty("norm").GetDouble()), away);
            var first = tensor(gradient.Value.GetProperty("first").EnumerateArray().Select(v => v.GetSingle()).ToArray());
            if (gradient.Name.EndsWith("key.bias")) continue; // Zero in exact arithmetic, so all of it is rounding.
            Near($"beginning of {gradient.Name}", (own.flatten().narrow(0, 0, first.shape[0]) - first).norm().ToDouble(), away);
        }
    }

    private void Near(string what, double distance, double rounding)
    {
        output.WriteLine(FormattableString.Invariant($"{what}: {distance:0.0e0} away, {distance / rounding:0.00} of bfloat16's rounding"));
        Assert.True(distance <= 2 * rounding, FormattableString.Invariant($"{what} is {distance} from the reference, which itself is only {rounding} from float32"));
    }

    [Fact]
    public void After_it_the_thread_computes_in_float32_again_and_an_inner_one_ends_nothing()
    {
        using var scope = NewDisposeScope();
        var a = ones(2, 2);
        using (MixedPrecision.Begin(Precision.Bf16))
        {
            using (MixedPrecision.Begin(Precision.Bf16)) Assert.Equal(bfloat16, a.mm(a).dtype);
            Assert.Equal(bfloat16, a.mm(a).dtype);
            Assert.Null(MixedPrecision.Begin(Precision.Float32));
            ScalarType? elsewhere = null;
            var thread = new Thread(() => { using var own = NewDisposeScope(); elsewhere = ones(2, 2).mm(ones(2, 2)).dtype; });
            thread.Start();
            thread.Join();
            Assert.Equal(float32, elsewhere);
        }
        Assert.Equal(float32, a.mm(a).dtype);
    }
}
