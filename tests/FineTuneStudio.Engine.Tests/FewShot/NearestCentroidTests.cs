using FineTuneStudio.Engine.FewShot;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Text;
using FineTuneStudio.Engine.Training;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Tests.FewShot;

[Collection("training")]
public sealed class NearestCentroidTests
{
    [Fact]
    public void The_label_whose_mean_points_most_alike_is_given()
    {
        // Means (0.9, 0.3) and (0, 1): at 45 degrees the first is at 26.6 degrees and the second at 45.
        float[][] examples = [[1, 0], [0.8f, 0.6f], [0, 1]], rows = [[0.6f, 0.8f], [0.70710678f, 0.70710678f], [1, 0], [-1, 0]];
        // cos of (0.6, 0.8): 0.78 / 0.9487 = 0.822 to the first wins over 0.8; of (-1, 0): -0.949 against 0.
        Assert.Equal([0, 0, 0, 1], NearestCentroid.Predict(examples, [0, 0, 1], 2, rows));
        Assert.Equal([1], NearestCentroid.Predict(examples, [0, 0, 1], 2, [[0.5f, 0.8660254f]]));
    }

    [Fact]
    public void Of_labels_equally_near_the_first_is_given_and_a_label_without_examples_never()
    {
        Assert.Equal([1], NearestCentroid.Predict([[1, 0], [0, 1]], [2, 1], 4, [[0.70710678f, 0.70710678f]]));
        Assert.Equal([2, 1], NearestCentroid.Predict([[1, 0], [0, 1]], [2, 1], 4, [[1, -1], [-1, 1]]));
    }

    [Fact]
    public void A_feature_is_the_mean_of_the_last_hidden_states_over_a_text_s_own_tokens_whatever_it_is_batched_with()
    {
        string[] texts = ["late", "my parcel was late again and nobody called me about the box", "great"];
        var vectors = TextFeatures.Compute(Repository.PracticeModel, texts, 32, Precision.Float32, _ => { }, default);
        // By hand from the classifier's own hidden states, one text at a time, so that nothing is padded.
        using var model = LoadClassifier.ForPrediction(Repository.PracticeModel).Model;
        using var noGrad = no_grad();
        foreach (var (text, vector) in texts.Zip(vectors))
        {
            using var scope = NewDisposeScope();
            var ids = Tokenizer.Load(Repository.PracticeModel).EncodeIds(text, 32);
            var hidden = model.ForwardWithHiddenStates(tensor(ids.Select(i => (long)i).ToArray(), [1, ids.Length]), null, null).HiddenStates[^1].data<float>().ToArray();
            var mean = Enumerable.Range(0, 64).Select(j => Enumerable.Range(0, ids.Length).Average(i => (double)hidden[i * 64 + j])).ToArray();
            var length = Math.Sqrt(mean.Sum(x => x * x));
            Assert.Equal(64, vector.Length);
            for (var j = 0; j < 64; j++) Assert.Equal(mean[j] / length, vector[j], 1e-5);
        }
    }
}
