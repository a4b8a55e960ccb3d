using FineTuneStudio.Engine.Baselines;
using FineTuneStudio.Engine.Metrics;
using FineTuneStudio.Engine.Models;
using FineTuneStudio.Engine.Text;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Engine.Weights;
using TorchSharp;

namespace FineTuneStudio.Engine.Tests.Training;

[Collection("training")]
public sealed class SpanTagsTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    private static string[] Cut(string text) => [.. Words.Of(text).Select(w => text[w.Start..w.End])];

    [Fact]
    public void Words_are_runs_of_letters_and_digits_and_every_other_sign_alone()
    {
        Assert.Equal(["@", "paulwalk", "It", "'", "s", "5", "km", ",", "no", "?", "!"], Cut("@paulwalk It's  5 km, no?!\n"));
        Assert.Equal(["Zu\u0308rich", "e\u0301", "😀", "👍\U0001F3FD"[..2], "\U0001F3FD", "東", "京", "Tower"], Cut("Zu\u0308rich e\u0301 😀👍\U0001F3FD東京Tower"));
        Assert.Empty(Words.Of(" \t\n"));
    }

    [Fact]
    public void Spans_become_tags_and_come_back_and_stray_I_tags_begin_a_span()
    {
        const string text = "Anna met Bob Lee in New York.";
        TextSpan[] spans = [new(20, 28, 0), new(0, 4, 1), new(9, 16, 1)];
        var words = Words.Of(text);
        var tags = SpanTags.Of(words, spans);
        Assert.Equal([3, 0, 3, 4, 0, 1, 2, 0], tags);
        Assert.Equal(spans.OrderBy(s => s.Start), SpanTags.Spans(words, tags));
        Assert.Equal([new(1, 3, 1), new(3, 4, 0), new(4, 5, 0), new(6, 7, 1)], SpanTags.Runs([0, 4, 4, 1, 1, 0, 4]));
        // Beginning amid a word, a span of that word alone is lost.
        Assert.Equal([0, 0], SpanTags.Of(Words.Of("Amsterdam now"), [new(5, 9, 0)]));
        Assert.Equal(["O", "B-a", "I-a", "B-b", "I-b"], SpanTags.Names(["a", "b"]));
        Assert.Equal(["a", "b"], SpanTags.Types(SpanTags.Names(["a", "b"])));
        Assert.Null(SpanTags.Types(["LABEL_0", "LABEL_1", "LABEL_2"]));
    }

    [SkippableTheory]
    [InlineData("bert-tiny")]
    [InlineData("distilbert-tiny")]
    [InlineData("roberta-tiny")]
    [InlineData("tokenizer-unigram-xlmr")]
    [InlineData("tokenizer-metaspace-first")]
    public void The_first_token_of_each_word_carries_its_tag_whatever_the_tokenizer(string golden)
    {
        var path = Shared.Find($"goldens/{golden}");
        const string text = "The  parcel 😀 for Zürich, unbelievably late: don't wait!";
        var tokenizer = Tokenizer.Load(path);
        var words = Words.Of(text);
        var encoding = tokenizer.Encode(text);
        var heads = SpanTags.Heads(text, words, encoding);
        Assert.Equal((-1, -1, encoding.Length), (heads[0], golden == "tokenizer-metaspace-first" ? -1 : heads[^1], heads.Length));
        var carried = heads.Where(h => h >= 0).ToList();
        Assert.Equal(carried.Distinct().Order(), carried);
        string[] known = [.. carried.Select(h => text[words[h].Start..words[h].End])];
        Assert.Superset(new HashSet<string> { "The", "parcel", "Zürich", "unbelievably", "late", "wait" }, known.ToHashSet());
    }

    [SkippableFact]
    public void A_word_that_shares_its_token_with_the_word_before_goes_on_with_the_span_of_that_word()
    {
        var path = Shared.Find("goldens/roberta-tiny");
        const string text = "We ate at McDonald's on Sunday.";
        var windowed = WindowedText.Of(text, Tokenizer.Load(path), 64);
        Assert.Equal(["McDonald", "'", "s"], windowed.Words.Skip(3).Take(3).Select(w => text[w.Start..w.End]));
        Assert.Equal([5], windowed.GoesOn.Index().Where(w => w.Item).Select(w => w.Index));
        Assert.DoesNotContain(5, windowed.Windows[0].Heads);

        // A model that gives every token's word its right tag.
        TextSpan[] spans = [new(10, 20, 1), new(24, 30, 0)];
        var right = SpanTags.Of(windowed.Words, spans);
        float[] Sure(int tag) => [.. Enumerable.Range(0, 5).Select(t => t == tag ? -0.5f : -3f)];
        var found = SpanTagger.Found(windowed, [.. right.Select((tag, word) => windowed.Windows[0].Heads.Contains(word) ? Sure(tag) : null)]);
        Assert.Equal(spans, found.Select(f => f.Span));
        Assert.All(found, f => Assert.Equal(Math.Exp(-0.5), f.Probability, 6));
        // Outside every span it is outside as well.
        Assert.Empty(SpanTagger.Found(windowed, [.. right.Select((_, word) => windowed.Windows[0].Heads.Contains(word) ? Sure(0) : null)]));
    }

    [Fact]
    public void A_text_of_any_length_is_read_in_windows_that_lose_no_word()
    {
        var tokenizer = Tokenizer.Load(Repository.PracticeModel);
        var text = string.Join(' ', Enumerable.Range(0, 300).Select(i => i % 7 == 0 ? "unbelievably," : "parcel"));
        var windowed = WindowedText.Of(text, tokenizer, 32);
        Assert.True(windowed.Windows.Count > 10);
        Assert.All(windowed.Windows, w => Assert.InRange(w.Ids.Length, 3, 32));
        Assert.Equal(Enumerable.Range(0, windowed.Words.Count), windowed.Windows.SelectMany(w => w.Heads).Where(h => h >= 0).Distinct().Order());
        Assert.Single(WindowedText.Of("", tokenizer, 32).Windows);
    }

    [SkippableTheory]
    [InlineData("bert-tiny")]
    [InlineData("distilbert-tiny")]
    [InlineData("roberta-tiny")]
    public void A_base_model_of_another_task_gets_a_new_head_for_tokens_and_the_saved_folder_tags_the_same(string golden)
    {
        var path = Shared.Find($"goldens/{golden}");
        string[] types = ["person", "place"];
        var (model, report, newHead) = LoadClassifier.ForTraining(path, SpanTags.Names(types), dropout: null, seed: 5, EncoderHead.Token);
        using (model)
        {
            Assert.Equal((1.0, true), (report.BackboneShare, newHead));
            if (golden == "bert-tiny") Assert.Equal(["bert.pooler.dense.bias", "bert.pooler.dense.weight"], report.Unexpected);
            // A head that knows nothing says O as often as not; this one must find something to compare.
            using (torch.no_grad()) model.Classifier.bias!.narrow(0, 0, 1).fill_(-2);
            SaveModelFolder.Write(model, SpanTags.Names(types), path, folder.File("tagger"));
        }
        Assert.Equal((EncoderConfig.Read(path).ArchitectureWith(EncoderHead.Token), true), (ModelFolder.Inspect(folder.File("tagger")).Architecture, ModelFolder.Inspect(folder.File("tagger")).CanTrain));
        Assert.StartsWith($"config.json says the model is a {EncoderConfig.Read(path).ArchitectureWith(EncoderHead.Token)}; expected a ", Assert.Throws<WeightFileException>(() => LoadClassifier.ForPrediction(folder.File("tagger"))).Message);
        string[] texts = ["Anna met Bob Lee in New York.", "", "no", string.Join(' ', Enumerable.Repeat("a parcel for Zürich", 40))];
        using var tagger = SpanTagger.Load(folder.File("tagger"));
        Assert.Equal(types, tagger.Types);
        Assert.Empty(tagger.Predict([]));
        var found = tagger.Predict(texts, maxLength: 24, batchSize: 4);
        Assert.Empty(found[1]);
        Assert.NotEmpty(found[3]);
        Assert.All(found.SelectMany(f => f), f => Assert.InRange(f.Probability, 0.15, 1));
        for (var i = 0; i < texts.Length; i++)
        {
            var alone = tagger.Predict([texts[i]], maxLength: 24, batchSize: 1)[0];
            Assert.Equal(found[i].Select(f => f.Span), alone.Select(f => f.Span));
            Assert.All(found[i].Zip(alone), p => Assert.Equal(p.First.Probability, p.Second.Probability, 1e-4));
        }
        var (again, _, kept) = LoadClassifier.ForTraining(folder.File("tagger"), SpanTags.Names(types), null, 9, EncoderHead.Token);
        using (again) Assert.False(kept);
    }

    [Fact]
    public void Errors_are_told_apart_and_intervals_hold_the_score()
    {
        TextSpan[][] actual = [[new(0, 4, 0), new(9, 16, 1)], [new(0, 3, 1)], [new(5, 9, 0)], []], predicted = [[new(0, 4, 0), new(9, 12, 1)], [new(0, 3, 0)], [], [new(1, 2, 0)]];
        var report = Entities.Evaluate(actual, predicted, 2);
        Assert.Equal(new(1, 1, 1, 1, 1), report.Errors);
        Assert.Equal(new(1, 4, 4), report.Micro);
        Assert.Equal([new(1, 3, 2), new(0, 1, 2)], report.PerType);
        var rows = Enumerable.Repeat(report.ByRow, 50).SelectMany(r => r).ToList();
        var interval = Entities.Interval(rows, c => c.F1);
        Assert.InRange(0.25, interval.Low, interval.High);
        Assert.InRange(interval.High - interval.Low, 0.02, 0.2);
        Assert.Equal(interval, Entities.Interval(rows, c => c.F1));
        Assert.Equal(new Interval(0, 0), Entities.IntervalOfDifference(rows, rows, c => c.F1));
        Assert.Equal(0, Entities.Evaluate([[]], [[]], 2).Micro.F1);
    }

    [Fact]
    public void The_baselines_know_what_training_said_and_nothing_else()
    {
        List<(string, IReadOnlyList<TextSpan>)> rows = [("Bob Lee saw New York", [new(0, 7, 0), new(12, 20, 1)]), ("New ideas from Bob Lee", [new(15, 22, 0)]), ("New shoes", [])];
        var tags = MostFrequentTags.Fit(rows);
        Assert.Equal([new(6, 13, 0), new(17, 21, 1)], tags.Predict("I met Bob Lee in York"));
        var list = EntityList.Fit(rows);
        Assert.Equal(2, list.Count);
        Assert.Equal([new(0, 8, 1), new(14, 22, 0)], list.Predict("New York, and Bob  Lee or New"));
        // The longest counts, where a shorter one is one as well; and a beginning of one is none.
        var longest = EntityList.Fit([("New York Bay", [new(0, 3, 0), new(0, 12, 1)])]);
        Assert.Equal([new(0, 12, 1), new(13, 16, 0)], longest.Predict("New York Bay New York"));
    }

    [Fact]
    public void A_long_entity_in_training_does_not_make_a_long_text_slow_and_the_search_can_be_stopped()
    {
        // Trying every length at every word would take hours here.
        var words = Enumerable.Range(0, 6000).Select(i => $"w{i}").ToList();
        var (text, entity) = (string.Join(' ', words), string.Join(' ', words.Take(5000).Append("end")));
        var list = EntityList.Fit([(entity, [new(0, entity.Length, 0)]), ("w5", [new(0, 2, 1)])]);
        var at = text.IndexOf(" w5 ", StringComparison.Ordinal) + 1;
        Assert.Equal([new(at, at + 2, 1)], list.Predict(text));
        using var stop = new CancellationTokenSource();
        stop.Cancel();
        Assert.Throws<OperationCanceledException>(() => list.Predict(text, stop.Token));
    }

    public void Dispose() => folder.Dispose();
}
