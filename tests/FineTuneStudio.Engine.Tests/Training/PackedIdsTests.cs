using FineTuneStudio.Engine.Text;
using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Engine.Tests.Training;

public sealed class PackedIdsTests : IDisposable
{
    private const int End = 102;
    private readonly TemporaryFolder folder = new();
    private readonly Tokenizer tokenizer = Tokenizer.Load(Repository.PracticeModel);

    private string Cache => folder.File("cache");

    private string Text(string name, params string[] documents)
    {
        File.WriteAllText(folder.File(name), string.Join("\n\n", documents));
        return folder.File(name);
    }

    private PackedIds Packed(params string[] files) => PackedIds.Open(files, Repository.PracticeModel, End, special: false, Cache);

    private string OnlyFile => Assert.Single(Directory.GetFiles(Cache));

    private static string[] Documents(int count) => [.. Enumerable.Range(0, count).Select(i => $"Document {i} has {string.Concat(Enumerable.Repeat("some words, ", i % 7))}and an end.")];

    [Fact]
    public void The_blocks_are_the_ids_of_the_documents_in_a_row_each_with_an_end()
    {
        var documents = Documents(1300);
        using var packed = Packed(Text("a.txt", documents[..900]), Text("b.txt", documents[900..]));
        int[] expected = [.. documents.SelectMany(d => tokenizer.EncodeIds(d)[1..])];
        Assert.Equal(End, expected[^1]);
        Assert.Equal((1300, expected.Length, expected.Length / 50), (packed.Documents, packed.Tokens, packed.Blocks(50)));
        Assert.Equal(expected[..(int)(packed.Blocks(50) * 50)], Enumerable.Range(0, (int)packed.Blocks(50)).SelectMany(i => packed.Block(i, 50)));
        Assert.StartsWith($"There are {packed.Blocks(50)} blocks of 50 tokens, but block {packed.Blocks(50)} was asked for.", Assert.Throws<ArgumentOutOfRangeException>(() => packed.Block(packed.Blocks(50), 50)).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => packed.Block(-1, 50));
    }

    [Fact]
    public void The_same_text_is_packed_once_whatever_its_files_name_and_another_text_or_end_anew()
    {
        var file = Text("a.txt", Documents(20));
        int[] first;
        using (var packed = Packed(file)) first = packed.Block(0, 100);
        var path = OnlyFile;
        // What is there is taken as it is: an id that was changed by hand is read back.
        using (var stream = File.OpenWrite(path))
        {
            stream.Position = 64;
            stream.Write(BitConverter.GetBytes((ushort)77));
        }
        File.Move(file, folder.File("renamed.txt"));
        using (var packed = Packed(folder.File("renamed.txt"))) Assert.Equal([77, .. first[1..]], packed.Block(0, 100));
        Assert.Equal(path, OnlyFile);

        using (Packed(Text("a.txt", Documents(21)))) Assert.Equal(2, Directory.GetFiles(Cache).Length);
        using (PackedIds.Open([folder.File("a.txt")], Repository.PracticeModel, 0, special: false, Cache)) Assert.Equal(3, Directory.GetFiles(Cache).Length);
    }

    [Fact]
    public void Only_what_was_packed_here_is_deleted_and_nothing_that_is_open()
    {
        using var kept = Packed(Text("a.txt", Documents(20)));
        using (Packed(Text("b.txt", Documents(21)))) PackedIds.DeleteOthers(Cache, [kept.Sha256]);
        Assert.Equal(2, Directory.GetFiles(Cache).Length);
        string[] foreign = ["notes.ids", $"{new string('a', 64)}.ids", $"{new string('a', 64)}.txt", $"{new string('b', 63)}.ids.partial"];
        foreach (var name in foreign) File.WriteAllText(Path.Combine(Cache, name), "not packed here");
        File.WriteAllText(Path.Combine(Cache, $"{new string('c', 64)}.ids.partial"), "");
        PackedIds.DeleteOthers(Cache, [kept.Sha256]);
        Assert.Equal(foreign.Append(kept.Sha256 + ".ids").Order(StringComparer.Ordinal), Directory.GetFiles(Cache).Select(Path.GetFileName).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Batches_are_made_without_reading_a_block()
    {
        var lengths = Enumerable.Repeat(10, 300).ToArray();
        foreach (var texts in new[] { new TokenizedTexts(new Unread(lengths.Length), 0, lengths: lengths), new AnsweredTexts(new Unread(lengths.Length), lengths, 0, lengths) })
            Assert.Equal((lengths.Length, lengths.Length, lengths.Length), (texts.TrainBatches(4, 1, 0).Sum(b => b.Length), texts.BatchesByLength(4).Sum(b => b.Length), texts.Lengths.Count));
    }

    private sealed class Unread(int count) : IReadOnlyList<int[]>
    {
        public int Count => count;

        public int[] this[int index] => throw new InvalidOperationException("read");

        public IEnumerator<int[]> GetEnumerator() => throw new InvalidOperationException("read");

        System.Collections.IEnumerator System.Collections.IEnumerable.GetEnumerator() => GetEnumerator();
    }

    [Fact]
    public void A_file_that_was_cut_short_is_made_again()
    {
        var file = Text("a.txt", Documents(20));
        int[] first;
        using (var packed = Packed(file)) first = packed.Block(0, 100);
        var path = OnlyFile;
        foreach (var length in new long[] { 0, 10, 64, new FileInfo(path).Length - 1 })
        {
            using (var stream = File.OpenWrite(path)) stream.SetLength(length);
            using var packed = Packed(file);
            Assert.Equal(first, packed.Block(0, 100));
        }
    }

    [Fact]
    public void Ids_past_sixteen_bits_come_back()
    {
        Directory.CreateDirectory(folder.File("wide"));
        File.WriteAllText(Path.Combine(folder.File("wide"), "tokenizer.json"), """
            {"pre_tokenizer":{"type":"BertPreTokenizer"},"model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":100,"vocab":{"[UNK]":0,"a":70000,"b":65536}}}
            """);
        using var packed = PackedIds.Open([Text("a.txt", "a b", "c")], folder.File("wide"), 65535, special: false, Cache);
        Assert.Equal([70000, 65536, 65535, 0, 65535], packed.Block(0, 5));
    }

    [SkippableFact]
    public void Documents_of_a_Llama_begin_with_its_token_and_end_with_one_end()
    {
        var llama = Shared.Find("goldens/llama-tiny");
        var tokenizer = Tokenizer.Load(llama);
        var end = tokenizer.EndId!.Value;
        int[] one = tokenizer.EncodeIds("The parcel came."), two = tokenizer.EncodeIds("It was late.");
        Assert.NotEqual(tokenizer.EncodeIds("It was late.", addSpecialTokens: false), two);
        using var packed = PackedIds.Open([Text("a.txt", "The parcel came.", "It was late.")], llama, end, special: true, Cache);
        int[] expected = [.. one, .. one[^1] == end ? [] : new[] { end }, .. two, .. two[^1] == end ? [] : new[] { end }];
        Assert.Equal(expected, packed.Block(0, expected.Length));
    }

    [Fact]
    public void Texts_without_a_word_are_refused_and_leave_no_file_behind()
    {
        Assert.Equal("a.txt has no text to train on.", Assert.Throws<TrainingException>(() => Packed(Text("a.txt", " "))).Message);
        Assert.Throws<OperationCanceledException>(() => PackedIds.Open([Text("b.txt", "words")], Repository.PracticeModel, End, false, Cache, new(canceled: true)));
        Assert.Empty(Directory.GetFiles(Cache));
    }

    public void Dispose() => folder.Dispose();
}
