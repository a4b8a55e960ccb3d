using System.Text.Json;

namespace FineTuneStudio.Engine.Tests.Parity;

/// <summary>The reference numbers in this repository are those of the shared folder, so that nobody compares with numbers of our own.</summary>
public sealed class GoldenCopiesTests
{
    [SkippableTheory]
    [InlineData("inputs.json")]
    [InlineData("expected.json")]
    [InlineData("expected.safetensors")]
    [InlineData("tokenizer_expected.json")]
    [InlineData("tokenizer_fast_expected.json")]
    public void The_reference_numbers_of_the_practice_model_are_unchanged_copies(string file)
    {
        var original = Shared.Find($"goldens/bert-tiny/{file}");
        Assert.Equal(File.ReadAllBytes(original), File.ReadAllBytes(Repository.Golden($"bert-tiny/{file}")));
    }

    [SkippableTheory]
    [InlineData("config.json")]
    [InlineData("model.safetensors")]
    [InlineData("tokenizer.json")]
    [InlineData("tokenizer_config.json")]
    [InlineData("special_tokens_map.json")]
    [InlineData("vocab.txt")]
    public void The_practice_model_is_an_unchanged_copy(string file)
    {
        var original = Shared.Find($"goldens/bert-tiny/{file}");
        Assert.Equal(File.ReadAllBytes(original), File.ReadAllBytes(Path.Combine(Repository.PracticeModel, file)));
    }

    [SkippableTheory]
    [InlineData("classification.json", 4)]
    [InlineData("schedules.json", 5)]
    [InlineData("entities.json", 1)]
    public void The_reference_metrics_are_entries_of_metrics_json(string file, int entries)
    {
        var path = Shared.Find("goldens/metrics.json");
        var original = Repository.Json(path);
        var copied = Repository.GoldenJson(file).EnumerateObject().ToList();
        Assert.Equal(entries, copied.Count);
        Assert.All(copied, entry => Assert.True(JsonElement.DeepEquals(original.GetProperty(entry.Name), entry.Value), entry.Name));
    }
}
