using System.Text.Json;
using FineTuneStudio.BaseModels;
using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Pretraining;

namespace FineTuneStudio.Tests.Pretraining;

public sealed class DividedTextsTests : IDisposable
{
    private static readonly HashSet<string> None = [];
    private readonly string home = Directory.CreateTempSubdirectory("fts-divided-").FullName;

    public void Dispose() => Directory.Delete(home, recursive: true);

    private string Text(string name, params string[] documents)
    {
        var path = Path.Combine(home, name);
        File.WriteAllText(path, string.Join("\n\n", documents));
        return path;
    }

    private static IReadOnlyList<string> Documents(string path) => [.. File.ReadLines(path).Select(line => JsonDocument.Parse(line).RootElement.GetProperty("text").GetString()!)];

    [Fact]
    public void A_document_that_stands_twice_is_held_out_once_and_never_learned()
    {
        var text = Text("a.txt", "first", "second", "Second ", "third", "fourth", "SECOND", "fifth", "sixth");
        Assert.Equal(new(5, 1, 0), DividedTexts.Of(home, [text], [], every: 4, seed: 1, None, default));
        // The documents 1 and 5 of 0 to 7 are the same one.
        Assert.Equal(["second"], Documents(DividedTexts.HeldOut(home)));
        Assert.DoesNotContain(Documents(DividedTexts.Train(home)), d => d.Trim().Equals("second", StringComparison.OrdinalIgnoreCase));
    }

    [Fact]
    public void Held_out_files_are_not_learned_however_they_are_packed()
    {
        var (train, held) = (Text("a.txt", "one", "two", "three"), Text("b.txt", "Two"));
        Assert.Equal(new(2, 1, 0), DividedTexts.Of(home, [train], [held], every: 0, seed: 1, None, default));
        Assert.Equal(["one", "three"], Documents(DividedTexts.Train(home)));

        var all = Path.Combine(home, "all.jsonl");
        File.WriteAllLines(all, ["""{"text": "three"}""", """{"text": "two"}""", """{"text": "one"}"""]);
        Directory.Delete(Path.Combine(home, "divided"), recursive: true);
        Assert.Equal("All of the train text is held out too, so there is nothing to learn from; upload other text, or hold out less.",
            Assert.Throws<TrainingException>(() => DividedTexts.Of(home, [train], [all], 0, 1, None, default)).Message);
    }

    [Fact]
    public void What_a_test_part_holds_is_left_out_as_a_document_and_as_a_line_and_counted()
    {
        HashSet<string> locked = [TextKey.Of("My parcel is late"), TextKey.Of("Where is my card?")];
        var text = Text("a.txt", "my  parcel is LATE", "Dear team\nWhere is my card?\nYours", "another one");
        var divided = DividedTexts.Of(home, [text], [], 0, 1, locked, default);
        Assert.Equal(new(5, 0, 2), divided);
        Assert.Equal("2 texts that are in a test part of this project were left out", divided.LeftOutSentence);
        Assert.Equal(["Dear team\nYours", "another one"], Documents(DividedTexts.Train(home)));

        Directory.Delete(Path.Combine(home, "divided"), recursive: true);
        Assert.StartsWith("All of the train text is text of test parts of this project’s splits", Assert.Throws<TrainingException>(() => DividedTexts.Of(home, [Text("b.txt", "My parcel is late")], [], 0, 1, locked, default)).Message);
    }

    [Fact]
    public void What_is_divided_stays_so_and_what_a_killed_process_left_half_is_made_anew()
    {
        var text = Text("a.txt", "one", "two", "three");
        Directory.CreateDirectory(Path.Combine(home, "divided.partial"));
        File.WriteAllText(Path.Combine(home, "divided.partial", "train.jsonl"), "half");
        var first = DividedTexts.Of(home, [text], [], every: 3, seed: 0, None, default);
        Assert.Equal(new(2, 1, 0), first);
        File.AppendAllText(text, "\n\nfour");
        Assert.Equal(first, DividedTexts.Of(home, [text], [], 3, 0, None, default));
        Assert.Equal(2, Documents(DividedTexts.Train(home)).Count);
    }

    [Theory]
    [InlineData(ModelOrigin.Pretrained, null, null, ModelOrigin.Pretrained)]
    [InlineData(ModelOrigin.Pretrained, 2.0, 3.0, ModelOrigin.Pretrained)]
    [InlineData(null, 9.0, 5.0, ModelOrigin.Pretrained)]
    [InlineData(null, 9.0, 9.0, ModelOrigin.Random)]
    [InlineData(null, null, null, ModelOrigin.Unknown)]
    [InlineData(ModelOrigin.Random, 9.0, 9.5, ModelOrigin.Random)]
    [InlineData(ModelOrigin.Unknown, 5.0, 4.0, ModelOrigin.Pretrained)]
    [InlineData(ModelOrigin.Unknown, 5.0, 6.0, ModelOrigin.Unknown)]
    public void A_model_counts_as_pretrained_where_its_base_did_or_held_out_text_says_that_it_learned(ModelOrigin? from, double? before, double? after, ModelOrigin expected) =>
        Assert.Equal(expected, PretrainWork.OriginOf(from, before, after));
}
