namespace FineTuneStudio.Engine.Text;

/// <summary>WordPiece (Wu et al. 2016; BERT, Devlin et al. 2018): each word is cut greedily into the longest pieces that the vocabulary has.</summary>
sealed class WordPieceModel : TokenModel
{
    /// <summary>Longest word that is cut; the work grows with its square. Published tokenizers have 100.</summary>
    const int MostCharsPerWord = 1000;

    readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> vocabulary;
    readonly string unknown, prefix;
    readonly int unknownId, longest, maxCharsPerWord;

    public WordPieceModel(Dictionary<string, int> vocabulary, string unknown, string prefix, int maxCharsPerWord) : base(vocabulary)
    {
        if (!vocabulary.TryGetValue(unknown, out unknownId))
            throw new TokenizerFileException($"The vocabulary of {vocabulary.Count} tokens lacks {Json.Shown(unknown)}, the token for unknown words.");
        if (prefix.Length > 100) throw new TokenizerFileException($"tokenizer.json has a continuing_subword_prefix of {prefix.Length} characters.");
        if (maxCharsPerWord is < 1 or > MostCharsPerWord) throw new TokenizerFileException($"tokenizer.json has a max_input_chars_per_word of {maxCharsPerWord}; expected 1 to {MostCharsPerWord}.");
        this.vocabulary = vocabulary.GetAlternateLookup<ReadOnlySpan<char>>();
        (this.unknown, this.prefix, this.maxCharsPerWord) = (unknown, prefix, maxCharsPerWord);
        longest = vocabulary.Keys.Max(k => k.Length);
    }

    public override void Tokenize(ReadOnlySpan<char> word, ReadOnlySpan<int> origins, TokenList into)
    {
        int before = into.Ids.Count;
        bool cut = word.Length <= maxCharsPerWord || MappedText.CountCodes(word) <= maxCharsPerWord;
        Span<char> candidate = stackalloc char[Math.Clamp(longest, prefix.Length + 1, 1024)];
        for (int start = 0; start < word.Length && cut;)
        {
            int lead = start == 0 ? 0 : prefix.Length;
            prefix.AsSpan(0, lead).CopyTo(candidate);
            int length = Math.Min(word.Length - start, candidate.Length - lead);
            word.Slice(start, length).CopyTo(candidate[lead..]);
            string? token = null;
            int id = 0;
            while (length > 0 && !vocabulary.TryGetValue(candidate[..(lead + length)], out token, out id)) length--;
            cut = length > 0;
            if (cut) into.Add(id, token!, origins[start], origins[start + length - 1] + 1);
            start += length;
        }
        if (cut) return;
        into.RemoveFrom(before);
        into.Add(unknownId, unknown, origins[0], origins[^1] + 1);
    }
}
