using System.Text.Json;
using FineTuneStudio.Engine.Text;
using Encoding = FineTuneStudio.Engine.Text.Encoding;

namespace FineTuneStudio.Engine.Tests.Parity;

public sealed class TokenizerParityTests
{
    [SkippableTheory]
    [InlineData("bert-tiny", 78)]
    [InlineData("distilbert-tiny", 78)]
    [InlineData("roberta-tiny", 78)]
    [InlineData("gpt2-tiny", 78)]
    [InlineData("qwen2-tiny", 78)]
    [InlineData("tokenizer-llama3-style", 78)]
    [InlineData("llama-tiny", 78)]
    [InlineData("tokenizer-metaspace-first", 78)]
    [InlineData("tokenizer-unigram-xlmr", 78)]
    public void Every_case_of_the_fast_tokenizer_is_met_exactly(string model, int cases)
    {
        var (folder, goldens) = Folders(model);
        Tokenizer tokenizer = Tokenizer.Load(folder);
        List<string> wrong = [];
        JsonElement list = Repository.Json(Path.Combine(goldens, "tokenizer_fast_expected.json")).GetProperty("cases");
        Assert.Equal(cases, list.GetArrayLength());
        foreach (JsonElement test in list.EnumerateArray())
        {
            Encoding encoding = tokenizer.Encode(test.GetProperty("text").GetString()!, Text(test, "pair"), Options(test) with { WithOverflow = true });
            string where = test.GetProperty("text") + (Text(test, "pair") is { } pair ? " + " + pair : "");
            Compare(encoding, test.GetProperty("expected"), where, tokenizer, wrong);
        }
        Assert.True(wrong.Count == 0, string.Join("\n", wrong));
    }

    /// <summary>The tokenizer's folder and that of its cases; both are committed for the practice model, which is bert-tiny.</summary>
    static (string Folder, string Goldens) Folders(string model) =>
        model == "bert-tiny" ? (Repository.PracticeModel, Repository.Golden(model)) : (Shared.Find($"goldens/{model}"), Shared.Find($"goldens/{model}"));

    static void Compare(Encoding got, JsonElement expected, string where, Tokenizer tokenizer, List<string> wrong)
    {
        foreach (JsonProperty field in expected.EnumerateObject())
        {
            if (field.Name == "differs_from_slow_tokenizer") continue;
            if (field.Name == "overflowing")
            {
                if (field.Value.GetArrayLength() != got.Overflowing.Count)
                    wrong.Add($"{where}: {got.Overflowing.Count} overflowing, expected {field.Value.GetArrayLength()}");
                else
                    foreach (var (part, window) in field.Value.EnumerateArray().Zip(got.Overflowing)) Compare(window, part, where + " (window)", tokenizer, wrong);
                continue;
            }
            string actual = field.Name switch
            {
                "ids" => JsonSerializer.Serialize(got.Ids),
                "type_ids" => JsonSerializer.Serialize(got.TypeIds),
                "tokens" => JsonSerializer.Serialize(got.Tokens),
                "offsets" => JsonSerializer.Serialize(got.Offsets.Select(o => new[] { o.Start, o.End })),
                "word_ids" => JsonSerializer.Serialize(got.WordIds),
                "sequence_ids" => JsonSerializer.Serialize(got.SequenceIds),
                "special" => JsonSerializer.Serialize(got.SpecialTokensMask),
                "attention_mask" => JsonSerializer.Serialize(got.AttentionMask),
                "decode" => JsonSerializer.Serialize(tokenizer.Decode(got.Ids, skipSpecialTokens: false)),
                "decode_skip_special" => JsonSerializer.Serialize(tokenizer.Decode(got.Ids)),
                _ => "no such field",
            };
            if (actual != JsonSerializer.Serialize(field.Value)) wrong.Add($"{where}: {field.Name} is {actual}, expected {field.Value}");
        }
    }

    static EncodingOptions Options(JsonElement test) => new()
    {
        MaxLength = test.TryGetProperty("max_length", out JsonElement most) ? most.GetInt32() : int.MaxValue,
        Stride = test.TryGetProperty("stride", out JsonElement stride) ? stride.GetInt32() : 0,
        PadTo = test.TryGetProperty("pad_to", out JsonElement pad) ? pad.GetInt32() : 0,
        PadToken = Text(test, "pad_token"),
        AddSpecialTokens = !test.TryGetProperty("add_special_tokens", out JsonElement add) || add.GetBoolean(),
        Strategy = Strategy(Text(test, "strategy")),
    };

    static TruncationStrategy Strategy(string? name) => name switch
    {
        "only_first" => TruncationStrategy.OnlyFirst,
        "only_second" => TruncationStrategy.OnlySecond,
        _ => TruncationStrategy.LongestFirst,
    };

    static string? Text(JsonElement test, string name) => test.TryGetProperty(name, out JsonElement value) ? value.GetString() : null;

    [SkippableTheory]
    [InlineData("bert-tiny", "vocab.txt")]
    [InlineData("distilbert-tiny", "vocab.txt")]
    [InlineData("roberta-tiny", "vocab.json", "merges.txt")]
    [InlineData("gpt2-tiny", "vocab.json", "merges.txt")]
    [InlineData("qwen2-tiny", "vocab.json", "merges.txt")]
    public void With_only_the_older_files_the_ids_are_those_of_the_slow_tokenizer_but_for_the_known_differences(string model, params string[] files)
    {
        var (folder, goldens) = Folders(model);
        using TemporaryFolder copy = new();
        foreach (string file in files.Append("tokenizer_config.json")) File.Copy(Path.Combine(folder, file), copy.File(file));
        CompareSlow(Tokenizer.Load(copy.Path), goldens, model);
    }

    [SkippableTheory]
    [InlineData("llama-tiny-tied")]
    [InlineData("tokenizer-unigram-xlmr")]
    public void With_tokenizer_json_the_ids_are_those_of_the_slow_tokenizer_but_for_the_known_differences(string model)
    {
        var (folder, goldens) = Folders(model);
        CompareSlow(Tokenizer.Load(folder), goldens, model);
    }

    static void CompareSlow(Tokenizer tokenizer, string goldens, string model)
    {
        JsonElement expected = Repository.Json(Path.Combine(goldens, "tokenizer_expected.json"));
        Assert.Equal(expected.GetProperty("vocab_size").GetInt32(), tokenizer.VocabularySize);
        if (expected.GetProperty("special_ids").TryGetProperty("eos_token", out JsonElement end)) Assert.Equal(end.GetInt32(), tokenizer.EndId);
        Assert.Equal(expected.GetProperty("special_ids").GetProperty("pad_token").GetInt32(), tokenizer.PadId);

        List<string> wrong = [];
        foreach (JsonElement test in expected.GetProperty("cases").EnumerateArray())
        {
            string text = test.GetProperty("text").GetString()!;
            EncodingOptions options = new();
            if (test.TryGetProperty("options", out JsonElement given))
            {
                options = Options(given) with
                {
                    Strategy = given.TryGetProperty("truncation", out JsonElement cut) && cut.ValueKind == JsonValueKind.String ? Strategy(cut.GetString()) : default,
                    PadTo = Text(given, "padding") == "max_length" ? given.GetProperty("max_length").GetInt32() : 0,
                };
            }
            Encoding got = tokenizer.Encode(text, Text(test, "pair"), options);
            string actual = JsonSerializer.Serialize(got.Ids);
            if (actual != JsonSerializer.Serialize(test.GetProperty("input_ids"))) wrong.Add(text);
        }
        // The fast tokenizer gives the odd token of a cut pair to the second text, the slow one to the first.
        string cutPair = "The model was trained on a small dataset of customer reviews and the loss went down after every epoch.";
        string[] known = model switch
        {
            // Only the slow cased tokenizer composes a letter with the accent that follows it.
            "distilbert-tiny" => ["Cafe\u0301 decomposed e\u0301", cutPair],
            // Text after a special token gets the mark of a word's start or not.
            "llama-tiny-tied" => ["<s> hello </s> <mask> <pad> <unk>"],
            // Two cuts of exactly the same score, and stacked accents.
            "tokenizer-unigram-xlmr" => ["https://www.example.com/path?query=1&lang=en#frag", "a\u0300\u0301\u0302 stacked", cutPair],
            _ => [cutPair],
        };
        Assert.Equal(known, wrong);
    }
}
