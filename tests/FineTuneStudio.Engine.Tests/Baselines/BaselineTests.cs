using FineTuneStudio.Engine.Baselines;

namespace FineTuneStudio.Engine.Tests.Baselines;

public sealed class BaselineTests
{
    [Fact]
    public void The_majority_label_is_the_most_frequent_and_of_equals_the_first()
    {
        Assert.Equal(2, MajorityLabel.Fit([0, 2, 2, 1], 4).Label);
        Assert.Equal(1, MajorityLabel.Fit([3, 1, 1, 3], 4).Label);
        Assert.Equal("There are no training rows to find the most frequent label in.", Assert.Throws<ArgumentException>(() => MajorityLabel.Fit([], 2)).Message);
        Assert.Equal("Row 1 has the label 2; with 2 classes it must be 0 to 1.", Assert.Throws<ArgumentException>(() => MajorityLabel.Fit([0, 2], 2)).Message);
    }

    [Fact]
    public void With_one_label_in_the_data_that_label_is_predicted() =>
        Assert.Equal([2, 2], TfIdfLogisticRegression.Fit(["some text", "other text"], [2, 2], 3).Predict(["some text", "unseen"]));

    [Fact]
    public void Texts_without_a_single_word_fall_back_to_the_frequent_label() =>
        Assert.Equal([1, 1], TfIdfLogisticRegression.Fit(["a", "!", "?", ""], [1, 1, 0, 1], 2).Predict(["x", "word"]));

    [Fact]
    public void The_fit_does_not_depend_on_the_order_of_threads()
    {
        Random random = new(4);
        string[] texts = [.. Enumerable.Range(0, 300).Select(_ => string.Join(' ', Enumerable.Range(0, 8).Select(_ => $"word{random.Next(60)}")))];
        int[] labels = [.. texts.Select(_ => random.Next(5))];
        double[] one = TfIdfLogisticRegression.Fit(texts, labels, 5).Scores(texts[0]);
        Assert.Equal(one, TfIdfLogisticRegression.Fit(texts, labels, 5).Scores(texts[0]));
    }

    [Fact]
    public void A_fit_can_be_cancelled()
    {
        using CancellationTokenSource source = new();
        source.Cancel();
        Assert.ThrowsAny<OperationCanceledException>(() => TfIdfLogisticRegression.Fit(["some text", "other words"], [0, 1], 2, source.Token));
    }

    [Fact]
    public void Rows_that_do_not_fit_are_refused_with_a_sentence()
    {
        Assert.Equal("There are 1 texts but 2 labels.", Assert.Throws<ArgumentException>(() => TfIdfLogisticRegression.Fit(["text"], [0, 1], 2)).Message);
        Assert.Equal("There are no training rows to fit on.", Assert.Throws<ArgumentException>(() => TfIdfLogisticRegression.Fit([], [], 2)).Message);
        Assert.Equal("Row 0 has the label 2; with 2 classes it must be 0 to 1.", Assert.Throws<ArgumentException>(() => TfIdfLogisticRegression.Fit(["text"], [2], 2)).Message);
    }
}
