using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Models;

namespace FineTuneStudio.Tests.Datasets;

/// Files with labelled spans: tagged words and JSON with offsets.
public sealed class SpanTests
{
    private static (List<ReadRow> Rows, List<Rejection> Rejected, ExamineFile.Look Look) Read(string text, string name = "file.annotated", FileFormat? format = null)
    {
        using var file = Tables.File(text);
        var look = Tables.See(file, name, format, TextTask.TokenClassification);
        var (rows, rejected) = (new List<ReadRow>(), new List<Rejection>());
        var answers = SpanAnswers.All.Survey(look.Format!, look.Mapping, ReadTable.Rows(file, look.Format!, look.Columns)).Answers;
        foreach (var raw in ReadTable.Rows(file, look.Format!, look.Columns))
        {
            var (row, rejection) = ReadTable.Take(raw, look.Mapping.Columns, answers);
            if (row is not null) rows.Add(row);
            else rejected.Add(rejection!);
        }
        return (rows, rejected, look);
    }

    private static string[] Said(ReadRow row) => [.. NamedSpan.FromJson(row.Label!).Select(s => $"{s.Label}:{row.Text[s.Start..s.End]}")];

    [Theory]
    [InlineData("Anna\tB-per\nLee\tI-per\nleft\tO\nNew\tB-loc\nYork\tI-loc\n\t\nNothing\tO\n\nhere\tO\n", '\t', 2)]
    [InlineData("-DOCSTART- -X- -X- O\n\nAnna NNP B-NP I-per\nLee NNP I-NP I-per\nleft VBD B-VP O\nNew NNP B-NP I-loc\nYork NNP I-NP I-loc\n\nNothing NN B-NP O\n\nhere RB O O", ' ', 4)]
    [InlineData("# sentence 1\nAnna\tB-per\nLee\tE-per\nleft\tO\nNew\tB-loc\nYork\tL-loc\n\n# sentence 2\nNothing\tO\n\nhere\tO\n", '\t', 2)]
    public void Sentences_of_tagged_words_become_texts_with_spans_whatever_the_scheme(string text, char delimiter, int tag)
    {
        var (rows, rejected, look) = Read(text);
        Assert.Equal((FileKind.TaggedWords, delimiter, 1, tag), (look.Format!.Kind, look.Format.Delimiter, look.Format.TokenColumn, look.Format.TagColumn));
        Assert.Equal(["text", "spans"], look.Columns);
        Assert.Empty(rejected);
        Assert.Equal(["Anna Lee left New York", "Nothing", "here"], rows.Select(r => r.Text));
        Assert.Equal(["per:Anna Lee", "loc:New York"], Said(rows[0]));
        Assert.Equal("[]", rows[1].Label);
        Assert.Equal("""[{"start":0,"end":8,"label":"per"},{"start":14,"end":22,"label":"loc"}]""", rows[0].Label);
    }

    [Fact]
    public void Stray_and_adjacent_tags_are_read_as_conlleval_reads_them()
    {
        var (rows, _, _) = Read("a\tI-x\nb\tB-x\nc\tI-x\nd\tI-y\ne\tS-y\nf\tI-y\ng\tO\n\n\n\nh\tB-creative-work\n");
        Assert.Equal(["x:a", "x:b c", "y:d", "y:e", "y:f"], Said(rows[0]));
        Assert.Equal(["creative-work:h"], Said(rows[1]));
    }

    [Fact]
    public void A_line_that_cannot_be_read_costs_its_sentence_and_says_where()
    {
        var (rows, rejected, _) = Read("one\tO\nword\n\ntwo\tO\nof\tB-\n\nthree\tO\n\nfour\t\n\nfive\tB-x\nsix\tO\nseven\tO\neight\tO\nnine\tO\nten\tO\neleven\tO\n", format: new(FileKind.TaggedWords, "utf-8", '\t'));
        Assert.Equal(["three", "five six seven eight nine ten eleven"], rows.Select(r => r.Text));
        Assert.Equal([(2, 0, "word"), (5, 2, "of\tB-"), (9, 2, "four\t")], rejected.Select(r => ((int)r.Line, r.Column, r.Found)));
        Assert.Equal("The line has 1 column; the tag is expected in column 2. The sentence around it does not come in.", rejected[0].Reason);
        Assert.Equal("The tag “B-” names no entity type; expected something like B-person. The sentence around it does not come in.", rejected[1].Reason);
        Assert.Equal("The tag is empty; a word outside every entity has the tag O. The sentence around it does not come in.", rejected[2].Reason);
    }

    [SkippableFact]
    public void Files_of_the_shared_folder_come_in_whole()
    {
        var wnut = Shared.Find("data/token-classification/wnut17");
        var ud = Shared.Find("data/token-classification/ud-english-ewt/en_ewt-ud-dev.conllu");
        foreach (var (name, sentences, spans) in new[] { ("wnut17train.conll", 3394, 1975), ("emerging.test.annotated", 1287, 1079) })
        {
            var (rows, rejected, _) = Read(File.ReadAllText(Path.Combine(wnut, name)), name);
            Assert.Equal((sentences, 0, spans), (rows.Count, rejected.Count, rows.Sum(r => Said(r).Length)));
        }
        var (trees, refused, look) = Read(File.ReadAllText(ud), "en.conllu");
        Assert.Equal((2, 4, 2001, 0), (look.Format!.TokenColumn, look.Format.TagColumn, trees.Count, refused.Count));
        Assert.Equal(["ADP:From", "DET:the", "PROPN:AP"], Said(trees[0]).Take(3));
    }

    [Fact]
    public void Json_gives_spans_by_offsets_or_by_tags()
    {
        var (rows, rejected, _) = Read("""
            {"text": "😀 Anna left", "spans": [{"start": 2, "end": 6, "label": "per"}]}
            {"text": "left 😀 Anna", "spans": [{"start": 7, "end": 11, "label": "per"}]}
            {"text": "Anna left", "spans": [[0, 5, "per"]]}
            {"text": "nobody", "spans": []}
            {"text": "unknown", "spans": null}
            {"text": "Anna left", "spans": [{"start": 0, "end": 4, "label": "per"}, {"start": 2, "end": 9, "label": "loc"}]}
            {"text": "Anna", "spans": [{"start": 0, "end": 9, "label": "per"}]}
            {"text": "Anna", "spans": "per"}
            {"text": "Anna", "spans": [{"start": 0.5, "end": 4, "label": "per"}]}
            {"text": "Anna", "spans": [["0", 4, "per"]]}
            """, "file.jsonl");
        Assert.Equal(["per:Anna", "per:Anna", "per:Anna"], rows.Take(3).SelectMany(Said));
        Assert.Equal(["[]", null], rows.Skip(3).Select(r => r.Label));
        Assert.Equal(["The spans 0 to 4 (“per”) and 2 to 9 (“loc”) overlap; each character belongs to one span at most.",
            "The span 0 to 9 (“per”) is not in the text, which has 4 characters; offsets count characters from 0 and the end is the one after the last."], rejected.Take(2).Select(r => r.Reason));
        Assert.All(rejected.Skip(2), r => Assert.StartsWith("“spans” is no list of spans; expected JSON such as", r.Reason));
        Assert.Equal(5, rejected.Count);

        (rows, rejected, _) = Read("{\"tokens\": [\"Anna\", \"Lee\", \"left\"], \"ner_tags\": [\"B-per\", \"I-per\", \"O\"]}\n{\"tokens\": [\"Anna\"], \"ner_tags\": [1]}\n", "file.jsonl");
        Assert.Equal(("Anna Lee left", "per:Anna Lee"), (rows[0].Text, Said(rows[0]).Single()));
        Assert.Equal("The tags are numbers, and their names are not in the file; write the tags themselves, such as B-person.", rejected[0].Reason);
    }

    private static (string? Decided, string[] Spans, string[] Reasons) Count(string lines, SpanOffsets? chosen = null)
    {
        using var file = Tables.File(lines);
        var look = Tables.See(file, "file.jsonl", null, TextTask.TokenClassification);
        var counts = ExamineFile.CountRows(file, look.Format!, look.Mapping with { Offsets = chosen }, SpanAnswers.All, null, default);
        var taken = ReadTable.Rows(file, look.Format!, look.Columns).Select(r => ReadTable.Take(r, look.Mapping.Columns, counts.Answers!)).ToList();
        Assert.Equal(taken.Count(t => t.Row is null), counts.Rejected);
        return (counts.Decided, [.. taken.Where(t => t.Row is not null).SelectMany(t => Said(t.Row!))], [.. taken.Where(t => t.Row is null).Select(t => t.Rejection!.Reason)]);
    }

    [Fact]
    public void Spans_that_carry_their_text_decide_for_the_whole_file_what_offsets_count()
    {
        var (decided, spans, reasons) = Count("""
            {"text": "😀 Anna lives in Paris", "spans": [{"start": 3, "end": 7, "label": "per", "text": "Anna"}]}
            {"text": "😀 Anna lives in Paris", "spans": [{"start": 17, "end": 22, "label": "loc"}]}
            {"text": "😀 Anna lives in Paris", "spans": [{"start": 2, "end": 6, "label": "per", "text": "Anna"}]}
            {"text": "😀 Anna lives in Paris", "spans": [{"start": 3, "end": 7, "label": "per", "text": "Anna"}]}
            {"text": "Anna left", "spans": [{"start": 5, "end": 9, "label": "per", "text": "Anna"}]}
            {"text": "😀 Anna", "spans": [{"start": 1, "end": 7, "label": "per"}]}
            """);
        Assert.Equal(["per:Anna", "loc:Paris", "per:Anna"], spans);
        Assert.Equal("5 texts with spans hold characters such as 😀, and the offsets count UTF-16 units, by which 2 of the 3 spans there that carry their text are found.", decided);
        Assert.Equal(["The span 2 to 6 (“per”) says that it is “Anna”, but there the text has “ Ann”; offsets count UTF-16 units from 0 and the end is the one after the last.",
            "The span 5 to 9 (“per”) says that it is “Anna”, but there the text has “left”; offsets count characters from 0 and the end is the one after the last.",
            "The span 1 to 7 (“per”) begins or ends inside a character such as 😀, which is two UTF-16 units."], reasons);

        (decided, spans, _) = Count("""{"text": "😀 Anna left", "spans": [{"start": 2, "end": 6, "label": "per", "text": "Anna"}]}""");
        Assert.Equal(("1 text with spans holds characters such as 😀, and the offsets count code points, by which 1 of the 1 spans there that carry their text are found.", "per:Anna"), (decided, spans.Single()));
    }

    [Fact]
    public void Offsets_count_code_points_unless_units_are_chosen_or_alone_fit()
    {
        const string bare = """{"text": "😀 Anna lives in Paris", "spans": [{"start": 2, "end": 6, "label": "per"}]}""", end = """{"text": "left 😀 Anna", "spans": [{"start": 8, "end": 12, "label": "per"}]}""";
        var (decided, spans, _) = Count(bare);
        Assert.Equal(("1 text with spans holds characters such as 😀, and the offsets count code points, as Python writes them, because nothing in the file tells; choose UTF-16 units if the file comes from JavaScript, Java or C#.", "per:Anna"), (decided, spans.Single()));
        (decided, spans, _) = Count(bare, SpanOffsets.Utf16);
        Assert.Equal(("1 text with spans holds characters such as 😀, and the offsets count UTF-16 units, as chosen.", "per:Ann"), (decided, spans.Single()));
        (decided, spans, _) = Count(end + "\n" + """{"text": "😀 Anna lives", "spans": [{"start": 3, "end": 7, "label": "per"}]}""");
        Assert.Equal(["per:Anna", "per:Anna"], spans);
        Assert.Equal("2 texts with spans hold characters such as 😀, and the offsets count UTF-16 units, because only so all their spans lie in their texts.", decided);
        // One span that ends too far does not turn a file of code points.
        (_, spans, var reasons) = Count("""{"text": "😀", "spans": [{"start": 0, "end": 1, "label": "sign"}]}""" + "\n" + end);
        Assert.Equal("sign:😀", spans.Single());
        Assert.Equal("The span 8 to 12 (“per”) is not in the text, which has 11 code points; offsets count code points from 0 and the end is the one after the last.", reasons.Single());
        Assert.Null(Count("""{"text": "Anna left", "spans": [[0, 4, "per"]]}""").Decided);
    }

    [Fact]
    public void A_scored_file_comes_back_in_with_the_spans_that_were_found()
    {
        string[] texts = ["😀 Anna lives in Paris", "@anna 😀 left Paris", "-- Paris 😀"], labels = ["per", "loc"];
        FoundSpan Mark(string text, string span, int label) => new(new(text.IndexOf(span, StringComparison.Ordinal), text.IndexOf(span, StringComparison.Ordinal) + span.Length, label), 0.9f);
        FoundSpan[][] found = [[Mark(texts[0], "Anna", 0), Mark(texts[0], "Paris", 1)], [Mark(texts[1], "@anna 😀", 0), Mark(texts[1], "Paris", 1)], [Mark(texts[2], "Paris", 1)]];
        using var file = Tables.File("text,predicted spans\r\n" + string.Concat(texts.Zip(found, (text, spans) => $"{DownloadRejected.Cell(text)},{DownloadRejected.Cell(FoundSpans.ToJson(text, spans, labels))}\r\n")));
        var look = Tables.See(file, "in-scored.csv", null, TextTask.TokenClassification);
        var mapping = look.Mapping with { Columns = [new("text", ColumnRole.Text), new("predicted spans", ColumnRole.Label)] };
        var answers = SpanAnswers.All.Survey(look.Format!, mapping, ReadTable.Rows(file, look.Format!, look.Columns)).Answers;
        var rows = ReadTable.Rows(file, look.Format!, look.Columns).Select(r => ReadTable.Take(r, mapping.Columns, answers).Row!).ToList();
        Assert.Equal([["per:Anna", "loc:Paris"], ["per:@anna 😀", "loc:Paris"], ["loc:Paris"]], rows.Select(Said));
    }

    [Fact]
    public void Words_that_are_emoji_do_not_move_the_spans_of_tagged_words()
    {
        var (rows, _, _) = Read("😀\tO\nAnna\tB-per\nlives\tO\nhere\tO\n");
        Assert.Equal(["per:Anna"], Said(rows.Single()));
    }

    [Fact]
    public void A_comment_with_as_many_columns_as_the_words_is_no_word()
    {
        var (rows, rejected, look) = Read("# id 1f4c\tdomain=train\nAnna _ _ B-per\nleft _ _ O\n\n# id 1f4d\tdomain=train\n# _ _ O\n1 _ _ B-rank\n\n\n");
        Assert.Equal((' ', 1, 4), (look.Format!.Delimiter, look.Format.TokenColumn, look.Format.TagColumn));
        Assert.Empty(rejected);
        Assert.Equal(["Anna left", "# 1"], rows.Select(r => r.Text));
        Assert.Equal("left", Read("# id 1f4c\tdomain=train\nleft\tO\n", format: new(FileKind.TaggedWords, "utf-8", '\t')).Rows.Single().Text);
    }

    [Fact]
    public void Half_of_a_character_costs_its_row_and_nothing_more()
    {
        var (rows, rejected, _) = Read("""
            {"text": "Anna", "spans": [{"start": 0, "end": 4, "label": "\ud83d"}]}
            {"text": ["\ud83d", "left"], "spans": ["O", "O"]}
            {"text": "Anna left", "spans": ["\ud83d", "O"]}
            {"text": "Anna", "spans": [[0, 4, "per"]]}
            """, "file.jsonl");
        Assert.Equal("per:Anna", rows.SelectMany(Said).Single());
        const string says = " holds half of a character, such as \\ud83d without the \\ude00 after it; write both halves, or the character itself.";
        Assert.Equal(["“spans”" + says, "The list of words" + says, "“spans”" + says], rejected.Select(r => r.Reason));
    }

    [Fact]
    public void A_row_belongs_to_its_rarest_type()
    {
        string One(params string[] labels) => NamedSpan.ToJson(labels.Select((l, i) => new NamedSpan(i, i + 1, l)));
        Assert.Equal(["loc", "per", "no span", "per"], SpanAnswers.All.Strata([One("per", "loc"), One("per"), "[]", One("per", "per")]));
        Assert.Equal("2 per, loc", SpanAnswers.All.Show(One("per", "loc", "per")));
    }
}
