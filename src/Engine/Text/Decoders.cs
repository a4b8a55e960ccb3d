using System.Text;
using System.Text.Json;

namespace FineTuneStudio.Engine.Text;

/// <summary>Turns tokens back into the parts of a text, which are then put together without anything between.</summary>
abstract class Decoder
{
    public abstract List<string> Decode(List<string> tokens);

    /// <summary>Reads the entry "decoder" of tokenizer.json; null for none.</summary>
    /// <exception cref="TokenizerFileException">The kind is not known.</exception>
    public static Decoder? Read(JsonElement json, int depth = 0) => json.ValueKind == JsonValueKind.Null ? null : Json.Text(json, "type") switch
    {
        "Sequence" => new DecoderSequence([.. Json.Sequence(json, "decoders", depth).Select(d => Read(d, depth + 1)).OfType<Decoder>()]),
        "WordPiece" => new WordPieceDecoder(Json.Text(json, "prefix") ?? "##", Json.Flag(json, "cleanup") ?? true),
        "ByteLevel" => new ByteLevelDecoder(),
        "Metaspace" => Metaspace(MetaspacePreTokenizer.Mark(json), MetaspacePreTokenizer.Scheme(json) != PrependScheme.Never),
        "ByteFallback" => new ByteFallbackDecoder(),
        "Fuse" => new FuseDecoder(),
        "Replace" => Replace(SplitPattern.Read(json.GetProperty("pattern")), Json.Text(json, "content") ?? ""),
        "Strip" => Strip(Json.Text(json, "content") ?? " ", json.GetProperty("start").GetInt32(), json.GetProperty("stop").GetInt32()),
        var other => throw new TokenizerFileException($"tokenizer.json has the decoder {other ?? "without a type"}, which is not supported."),
    };

    static EachToken Metaspace(char mark, bool prefixed) =>
        new((token, i) => i == 0 && prefixed ? token.Replace(mark.ToString(), "", StringComparison.Ordinal) : token.Replace(mark, ' '));

    static EachToken Replace(SplitPattern pattern, string content) =>
        new((token, _) => string.Concat(pattern.Find(token).Select(m => m.IsMatch ? content : token[m.Start..m.End])));

    static EachToken Strip(string content, int start, int stop) => new((token, _) =>
    {
        for (int i = 0; i < start && content.Length > 0 && token.StartsWith(content, StringComparison.Ordinal); i++) token = token[content.Length..];
        for (int i = 0; i < stop && content.Length > 0 && token.EndsWith(content, StringComparison.Ordinal); i++) token = token[..^content.Length];
        return token;
    });
}

sealed class DecoderSequence(Decoder[] decoders) : Decoder
{
    public override List<string> Decode(List<string> tokens) => decoders.Aggregate(tokens, (t, decoder) => decoder.Decode(t));
}

sealed class EachToken(Func<string, int, string> change) : Decoder
{
    public override List<string> Decode(List<string> tokens) => [.. tokens.Select(change)];
}

sealed class FuseDecoder : Decoder
{
    public override List<string> Decode(List<string> tokens) => [string.Concat(tokens)];
}

/// <summary>Pieces join the word before them, words get a blank, and with clean-up none before punctuation.</summary>
sealed class WordPieceDecoder(string prefix, bool cleanup) : Decoder
{
    public override List<string> Decode(List<string> tokens)
    {
        List<string> parts = new(tokens.Count);
        for (int i = 0; i < tokens.Count; i++)
        {
            string token = tokens[i];
            if (i > 0) token = token.StartsWith(prefix, StringComparison.Ordinal) ? token[prefix.Length..] : " " + token;
            parts.Add(cleanup ? Tidy(token) : token);
        }
        return parts;
    }

    static string Tidy(string token) => token
        .Replace(" .", ".").Replace(" ?", "?").Replace(" !", "!").Replace(" ,", ",")
        .Replace(" ' ", "'").Replace(" n't", "n't").Replace(" 'm", "'m").Replace(" do not", " don't")
        .Replace(" 's", "'s").Replace(" 've", "'ve").Replace(" 're", "'re");
}

/// <summary>Reads the bytes that the tokens spell as UTF-8; what is none becomes the replacement character.</summary>
sealed class ByteLevelDecoder : Decoder
{
    public override List<string> Decode(List<string> tokens)
    {
        List<byte> bytes = [];
        foreach (string token in tokens) ByteAlphabet.Read(token, bytes);
        return [System.Text.Encoding.UTF8.GetString([.. bytes])];
    }
}

/// <summary>Byte tokens in a row are UTF-8, or where they are not, one replacement character each.</summary>
sealed class ByteFallbackDecoder : Decoder
{
    static readonly UTF8Encoding Strict = new(false, throwOnInvalidBytes: true);

    public override List<string> Decode(List<string> tokens)
    {
        List<string> parts = [];
        List<byte> bytes = [];
        foreach (string token in tokens)
        {
            if (token.Length == 6 && token.StartsWith("<0x", StringComparison.Ordinal) && token[5] == '>'
                && byte.TryParse(token.AsSpan(3, 2), System.Globalization.NumberStyles.AllowHexSpecifier, System.Globalization.CultureInfo.InvariantCulture, out byte value))
            {
                bytes.Add(value);
                continue;
            }
            Flush();
            parts.Add(token);
        }
        Flush();
        return parts;

        void Flush()
        {
            try
            {
                if (bytes.Count > 0) parts.Add(Strict.GetString([.. bytes]));
            }
            catch (DecoderFallbackException)
            {
                parts.AddRange(Enumerable.Repeat("\uFFFD", bytes.Count));
            }
            bytes.Clear();
        }
    }
}
