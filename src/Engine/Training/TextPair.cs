using FineTuneStudio.Engine.Text;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Engine.Training;

/// <summary>
/// Two texts that the model reads as one row, such as a sentence and a word in it. They are kept as one text with a sign between
/// them that texts do not hold, and become a pair with the tokenizer's own separators and token types.
/// </summary>
public static class TextPair
{
    /// <summary>Between the two texts: two broken bars, with blanks around them.</summary>
    public const string Sign = " ¦¦ ";

    public static string Join(string first, string second) => first + Sign + second;

    /// <summary>The second is null where the text is no pair.</summary>
    public static (string First, string? Second) Split(string text) =>
        text.IndexOf(Sign, StringComparison.Ordinal) is >= 0 and var at ? (text[..at], text[(at + Sign.Length)..]) : (text, null);

    /// <summary>Token ids of each row, cut to a length from the longer text first, and token types where any row is a pair.</summary>
    internal static (int[][] Ids, int[][]? Types) Encode(Tokenizer tokenizer, IReadOnlyList<string> texts, int maxLength, CancellationToken cancel = default)
    {
        if (!texts.Any(t => t.Contains(Sign, StringComparison.Ordinal))) return (tokenizer.EncodeIds(texts, maxLength, cancel), null);
        int[][] ids = new int[texts.Count][], types = new int[texts.Count][];
        Parallel.For(0, texts.Count, new ParallelOptions { CancellationToken = cancel }, i =>
        {
            var (first, second) = Split(texts[i]);
            var encoding = tokenizer.Encode(first, second, maxLength);
            (ids[i], types[i]) = (encoding.Ids, encoding.TypeIds);
        });
        return (ids, types);
    }

    /// <summary>Token types int64 [rows, length], 0 on padding; null where there are none.</summary>
    internal static Tensor? Types(int[][]? types, int[] rows, long length)
    {
        if (types is null) return null;
        var values = new long[rows.Length * length];
        for (var i = 0; i < rows.Length; i++)
            for (var j = 0; j < types[rows[i]].Length; j++) values[i * length + j] = types[rows[i]][j];
        return tensor(values, [rows.Length, length]);
    }
}
