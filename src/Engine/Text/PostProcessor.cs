using System.Text.Json;

namespace FineTuneStudio.Engine.Text;

/// <summary>A piece of the template around the texts: a special token, or the first (0) or second (1) text.</summary>
sealed record TemplatePiece(string? Token, int Id, int Sequence, int TypeId)
{
    /// <summary>Segment of the windows of a text that was cut. The reference gives them that of the template only in RoBERTa's.</summary>
    public int WindowTypeId { get; init; } = TypeId;
}

/// <summary>Puts special tokens around one text or two, and gives each token its segment.</summary>
/// <param name="Trims">One entry for each time that offsets leave out the blanks at the ends of a token; whether the first blank of a text was put there by the pre-tokenizer and stays.</param>
sealed record PostProcessor(IReadOnlyList<TemplatePiece> Single, IReadOnlyList<TemplatePiece> Pair, IReadOnlyList<bool> Trims)
{
    /// <summary>Most special tokens around a text. Published tokenizers have up to five.</summary>
    const int MostSpecials = 8;

    static readonly TemplatePiece First = new(null, 0, 0, 0), Second = new(null, 0, 1, 1);

    /// <summary>Nothing is put around the texts; the second is of the second segment.</summary>
    public static readonly PostProcessor None = new([First], [First, Second], []);

    /// <summary>[CLS] A [SEP] B [SEP], the second text in the second segment.</summary>
    public static PostProcessor Bert((string Text, int Id) cls, (string Text, int Id) sep)
    {
        TemplatePiece[] single = [new(cls.Text, cls.Id, -1, 0), First, new(sep.Text, sep.Id, -1, 0)];
        return new(single, [.. single, Second, new(sep.Text, sep.Id, -1, 1)], []);
    }

    /// <summary>&lt;s&gt; A &lt;/s&gt; &lt;/s&gt; B &lt;/s&gt;, all in the first segment.</summary>
    public static PostProcessor Roberta((string Text, int Id) cls, (string Text, int Id) sep, bool trimOffsets, bool addPrefixSpace)
    {
        TemplatePiece end = new(sep.Text, sep.Id, -1, 0);
        TemplatePiece[] single = [new(cls.Text, cls.Id, -1, 0), First, end];
        return new(single, [.. single, end, Second with { TypeId = 0, WindowTypeId = 0 }, end], trimOffsets ? [addPrefixSpace] : []);
    }

    /// <summary>Reads the entry "post_processor" of tokenizer.json.</summary>
    /// <exception cref="TokenizerFileException">The kind is not known, or it leaves out the texts.</exception>
    public static PostProcessor Read(JsonElement json, int depth = 0)
    {
        if (json.ValueKind == JsonValueKind.Null) return None;
        bool trim = Json.Flag(json, "trim_offsets") ?? true, prefixSpace = Json.Flag(json, "add_prefix_space") ?? true;
        return Json.Text(json, "type") switch
        {
            "BertProcessing" => Bert(Token(json.GetProperty("cls")), Token(json.GetProperty("sep"))),
            "RobertaProcessing" => Roberta(Token(json.GetProperty("cls")), Token(json.GetProperty("sep")), trim, prefixSpace),
            "ByteLevel" => None with { Trims = trim ? [prefixSpace] : [] },
            "TemplateProcessing" => ReadTemplate(json),
            "Sequence" => Combine([.. Json.Sequence(json, "processors", depth).Select(p => Read(p, depth + 1))]),
            var other => throw new TokenizerFileException($"tokenizer.json has the post-processor {other ?? "without a type"}, which is not supported."),
        };
    }

    static PostProcessor Combine(PostProcessor[] parts)
    {
        PostProcessor[] templates = [.. parts.Where(p => p.Single.Count > 1 || p.Pair.Count > 2)];
        if (templates.Length > 1) throw new TokenizerFileException("tokenizer.json puts special tokens around a text in more than one step, which is not supported.");
        return (templates.FirstOrDefault() ?? None) with { Trims = [.. parts.SelectMany(p => p.Trims)] };
    }

    static (string, int) Token(JsonElement json) => (json[0].GetString() ?? "", Json.Id(json[1], json[0].GetString()));

    static PostProcessor ReadTemplate(JsonElement post)
    {
        JsonElement special = post.GetProperty("special_tokens");
        List<TemplatePiece> single = Pieces("single"), pair = Pieces("pair");
        foreach (List<TemplatePiece> pieces in new[] { single, pair })
        {
            if (pieces.Count(p => p.Token is null && p.Sequence == 0) > 1 || pieces.Count(p => p.Sequence == 1) > 1)
                throw new TokenizerFileException("tokenizer.json has a template with the same text twice, which is not supported.");
            if (pieces.Count(p => p.Token is not null) is > MostSpecials and var count)
                throw new TokenizerFileException($"tokenizer.json has a template that puts {count} special tokens around a text; more than {MostSpecials} are refused.");
        }
        // Encoding relies on it: the text stands in its template, and a second one only in that for pairs.
        if (!single.Any(p => p.Token is null) || single.Any(p => p.Sequence == 1) || !pair.Any(p => p.Token is null))
            throw new TokenizerFileException("tokenizer.json has a template that leaves out the text it is for.");
        return new(single, pair, []);

        List<TemplatePiece> Pieces(string name)
        {
            List<TemplatePiece> pieces = [];
            foreach (JsonElement piece in post.GetProperty(name).EnumerateArray())
            {
                if (piece.TryGetProperty("Sequence", out JsonElement sequence))
                {
                    int text = Json.Text(sequence, "id") == "B" ? 1 : 0;
                    pieces.Add(new(null, 0, text, sequence.GetProperty("type_id").GetInt32()) { WindowTypeId = text });
                    continue;
                }
                JsonElement token = piece.GetProperty("SpecialToken");
                JsonElement entry = special.GetProperty(Json.Text(token, "id") ?? "");
                foreach (var (id, written) in entry.GetProperty("ids").EnumerateArray().Zip(entry.GetProperty("tokens").EnumerateArray()))
                {
                    string spelling = written.GetString() ?? throw new TokenizerFileException("tokenizer.json has a template with a special token that has no name.");
                    pieces.Add(new(spelling, Json.Id(id, spelling), -1, token.GetProperty("type_id").GetInt32()));
                }
            }
            return pieces;
        }
    }

    /// <summary>Ids that stand around every text; a broken file may have others than its vocabulary.</summary>
    public IEnumerable<int> Ids => Single.Concat(Pair).Where(p => p.Token is not null).Select(p => p.Id);

    /// <summary>How many special tokens one text or a pair gets.</summary>
    public int Added(bool pair) => (pair ? Pair : Single).Count(p => p.Token is not null);

    /// <summary>The ids of one text with the special tokens around it.</summary>
    public int[] Process(ReadOnlySpan<int> text)
    {
        List<int> ids = new(text.Length + Single.Count);
        foreach (TemplatePiece piece in Single)
        {
            if (piece.Token is null) ids.AddRange(text);
            else ids.Add(piece.Id);
        }
        return [.. ids];
    }

    public Encoding Process(Encoding first, Encoding? second, bool addSpecialTokens)
    {
        foreach (bool prefixSpace in Trims)
        {
            first = first.TrimOffsets(prefixSpace);
            second = second?.TrimOffsets(prefixSpace);
        }
        List<Encoding> parts = [];
        foreach (TemplatePiece piece in second is null ? Single : Pair)
        {
            if (piece.Token is null) parts.Add((piece.Sequence == 0 ? first : second!).AsSegment(piece.Sequence, piece.TypeId, piece.WindowTypeId));
            else if (addSpecialTokens) parts.Add(Encoding.Special(piece.Token, piece.Id, piece.TypeId));
        }
        return Encoding.Join(parts);
    }
}
