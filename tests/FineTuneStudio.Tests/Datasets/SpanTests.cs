using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Tests.Datasets;

/// Files with labelled spans: tagged words and JSON with offsets.
public sealed class SpanTests
{
    private static (List<ReadRow> Rows, List<Rejection> Rejected, ExamineFile.Look Look) Read(string text, string name = "file.annotated", FileFormat? format = null)
    {
        using var file = Tables.File(text);
        var look = Tables.See(file, name, format, TextTask.TokenClassification);
        var (rows, rejected) = (new List<ReadRow>(), new List<Rejection>());
        foreach (var raw in ReadTable.Rows(file, look.Format!, look.Columns))
        {
            var (row, rejection) = ReadTable.Take(raw, look.Mapping.Columns, SpanAnswers.All);
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

    [Fact]
    public void Files_of_the_shared_folder_come_in_whole()
    {
        if (Shared.Find("data/token-classification/wnut17") is not { } wnut || Shared.Find("data/token-classification/ud-english-ewt/en_ewt-ud-dev.conllu") is not { } ud) return;
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
    public void Json_gives_spans_by_offsets_in_code_points_or_units_or_by_tags()
    {
        var (rows, rejected, _) = Read("""
            {"text": "😀 Anna left", "spans": [{"start": 2, "end": 6, "label": "per"}]}
            {"text": "left 😀 Anna", "spans": [{"start": 8, "end": 12, "label": "per"}]}
            {"text": "Anna left", "spans": [[0, 5, "per"]]}
            {"text": "nobody", "spans": []}
            {"text": "unknown", "spans": null}
            {"text": "Anna left", "spans": [{"start": 0, "end": 4, "label": "per"}, {"start": 2, "end": 9, "label": "loc"}]}
            {"text": "Anna", "spans": [{"start": 0, "end": 9, "label": "per"}]}
            {"text": "Anna", "spans": "per"}
            """, "file.jsonl");
        Assert.Equal(["per:Anna", "per:Anna", "per:Anna"], rows.Take(3).SelectMany(Said));
        Assert.Equal(["[]", null], rows.Skip(3).Select(r => r.Label));
        Assert.Equal(["The spans 0 to 4 (“per”) and 2 to 9 (“loc”) overlap; each character belongs to one span at most.",
            "The span 0 to 9 (“per”) is not in the text, which has 4 characters; offsets count characters from 0 and the end is the one after the last."], rejected.Take(2).Select(r => r.Reason));
        Assert.StartsWith("“spans” is no list of spans; expected JSON such as", rejected[2].Reason);

        (rows, rejected, _) = Read("{\"tokens\": [\"Anna\", \"Lee\", \"left\"], \"ner_tags\": [\"B-per\", \"I-per\", \"O\"]}\n{\"tokens\": [\"Anna\"], \"ner_tags\": [1]}\n", "file.jsonl");
        Assert.Equal(("Anna Lee left", "per:Anna Lee"), (rows[0].Text, Said(rows[0]).Single()));
        Assert.Equal("The tags are numbers, and their names are not in the file; write the tags themselves, such as B-person.", rejected[0].Reason);
    }

    [Fact]
    public void A_row_belongs_to_its_rarest_type()
    {
        string One(params string[] labels) => NamedSpan.ToJson(labels.Select((l, i) => new NamedSpan(i, i + 1, l)));
        Assert.Equal(["loc", "per", "no span", "per"], SpanAnswers.All.Strata([One("per", "loc"), One("per"), "[]", One("per", "per")]));
        Assert.Equal("2 per, loc", SpanAnswers.All.Show(One("per", "loc", "per")));
    }
}
