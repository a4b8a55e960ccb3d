using FineTuneStudio.Engine.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Tests.Models;

[Collection("training")]
public sealed class CausalLMTests
{
    /// <summary>A vocabulary of 16,000 words, so that 600 tokens are compared with it in two parts.</summary>
    [Theory]
    [InlineData(1.0)]
    [InlineData(0.3)]
    [InlineData(0.0)]
    public void The_loss_from_the_tokens_and_its_gradients_are_those_of_the_loss_of_all_logits(double share)
    {
        using var scope = NewDisposeScope();
        manual_seed(5);
        using var model = new LlamaForCausalLM(new(16_000, 8, 1, 2, 1, 12, 128, 1e-5, 10000, RopeFactors.None, false, false, true, null, 0));
        using (no_grad()) foreach (var parameter in model.parameters()) parameter.normal_(0, 0.5);
        var ids = randint(0, 16_000, [6, 110], dtype: int64);
        var labels = ids.masked_fill(rand(6, 110).ge(share), -100);

        var (expected, gradients) = Backward(CausalLM.Loss(model.call(ids, null), labels));
        var (found, own) = Backward(model.Loss(ids, null, null, labels));
        if (share == 0)
        {
            Assert.True(float.IsNaN(expected) && float.IsNaN(found));
            return;
        }
        Assert.Equal(expected, found, 1e-5 * expected);
        foreach (var (name, gradient) in gradients) Assert.True(own[name].allclose(gradient, 1e-4, 1e-6), name);

        (float, Dictionary<string, Tensor>) Backward(Tensor loss)
        {
            model.zero_grad();
            loss.backward();
            return (loss.item<float>(), model.named_parameters().ToDictionary(p => p.name, p => p.parameter.grad!.clone()));
        }
    }
}
