using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Engine.Tests.Training;

[Collection("training")]
public sealed class TextClassifierTests
{
    /// <summary>
    /// How far a probability may move with the batch. Another shape takes another path through the matrix product, which
    /// adds in another order, and another processor has other paths: float32 logits then differ by rounding, for which
    /// goldens/README.md allows 1e-4. A softmax passes on at most half of what its logits move by.
    /// </summary>
    private const float AcrossShapes = 5e-5f;

    [Fact]
    public void Probabilities_come_in_the_order_of_the_texts_whatever_the_batch()
    {
        using var classifier = TextClassifier.Load(Repository.PracticeModel);
        Assert.Equal(["negative", "neutral", "positive"], classifier.Labels);
        var texts = SmallTexts.Rows(50).Select(r => r.Text).ToList();
        var done = new List<int>();
        var together = classifier.Predict(texts, batchSize: 16, done: done.Add);
        Assert.Equal([16, 32, 48, 50], done);
        for (var i = 0; i < texts.Count; i++)
        {
            var alone = classifier.Predict([texts[i]])[0];
            Assert.Equal(1, alone.Sum(), 5);
            for (var label = 0; label < 3; label++) Assert.Equal(alone[label], together[i][label], AcrossShapes);
        }
        // Texts differ by far more than the tolerance, so a wrong order would be seen.
        Assert.True(together.Zip(together.Skip(1)).Where((_, i) => texts[i] != texts[i + 1]).All(p => p.First.Zip(p.Second).Max(v => Math.Abs(v.First - v.Second)) > 10 * AcrossShapes));
    }

    [Fact]
    public void No_texts_an_empty_text_and_a_text_beyond_the_positions_are_all_fine()
    {
        using var classifier = TextClassifier.Load(Repository.PracticeModel);
        Assert.Empty(classifier.Predict([]));
        var results = classifier.Predict(["", string.Join(' ', Enumerable.Repeat("the movie was great", 500))], maxLength: 512);
        Assert.All(results, r => Assert.Equal(1, r.Sum(), 5));
    }

    [Fact]
    public void Several_threads_get_the_numbers_of_one()
    {
        using var classifier = TextClassifier.Load(Repository.PracticeModel);
        var texts = SmallTexts.Rows(40).Select(r => r.Text).ToList();
        var expected = classifier.Predict(texts);
        Parallel.For(0, 4, _ => Assert.All(expected.Zip(classifier.Predict(texts)), p => Assert.All(p.First.Zip(p.Second), v => Assert.Equal(v.First, v.Second, AcrossShapes))));
    }
}
