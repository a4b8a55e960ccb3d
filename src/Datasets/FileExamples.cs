using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Datasets;

/// A short file of one of the forms that are read, and the name it could have.
public sealed record FileExample(string Title, string FileName, string Text)
{
    public IReadOnlyList<string> Lines => Text.TrimEnd().Split('\n');
}

/// What files for a task look like. Every example is a whole file: a test imports each as it stands.
public static class FileExamples
{
    public static string Lead(TextTask task) => task switch
    {
        TextTask.SingleLabel => "One text a row, with its label beside it. A row whose label is empty comes in unlabelled and waits in the review.",
        TextTask.MultiLabel => "One text a row, with all its labels in one cell: a separator between them, or a JSON list. An empty list is a row with none of the labels; an empty cell is one that nobody has labelled.",
        TextTask.Regression => "One text a row, with its number beside it. For a number about two texts, such as how much they mean the same, put them in two columns and mark one as the second text after the upload.",
        TextTask.TokenClassification => "One text a row with its spans, or a word a line with its tag. Spans have a start, an end and a label; they count characters from 0, and the end is the one after the last. Tags may be BIO, BIOES or BILOU.",
        TextTask.QuestionAnswering => "A question, the context that answers it, and the answer as it stands there, letter for letter. An empty answer says that the context has none. The start of the answer may be given, and is needed where the answer stands there more than once.",
        TextTask.Generation => "A prompt and the answer to it, or a whole chat whose last message is the assistant’s.",
        _ => throw new ArgumentOutOfRangeException(nameof(task)),
    };

    public static IReadOnlyList<FileExample> Of(TextTask task) => task switch
    {
        TextTask.SingleLabel =>
        [
            new("CSV or TSV", "messages.csv", "text,label\n\"The parcel is a week late, and nobody called\",delivery\nPlease take the second charge off my card,billing\nDoes the lamp come in green?,\n"),
            new("JSON lines", "messages.jsonl", """
                {"text": "The parcel is a week late", "label": "delivery"}
                {"text": "Please take the second charge off my card", "label": "billing"}
                {"text": "Does the lamp come in green?", "label": null}
                """),
        ],
        TextTask.MultiLabel =>
        [
            new("CSV or TSV", "messages.csv", "text,labels\nThe parcel is late and I was charged twice,\"delivery,billing\"\nThe courier was friendly,\"delivery,praise\"\nDoes the lamp come in green?,[]\n"),
            new("JSON lines", "messages.jsonl", """
                {"text": "The parcel is late and I was charged twice", "labels": ["delivery", "billing"]}
                {"text": "The courier was friendly", "labels": ["delivery", "praise"]}
                {"text": "Does the lamp come in green?", "labels": []}
                """),
        ],
        TextTask.Regression =>
        [
            new("CSV or TSV", "readability.csv", "text,score\nThe cat sleeps.,0.5\nThe committee adjourned without a resolution.,3.25\n\"Notwithstanding the foregoing, the lessee remains liable.\",4.75\n"),
            new("JSON lines, two texts", "similarity.jsonl", """
                {"sentence": "A man cuts an onion.", "second": "Somebody is cutting an onion.", "score": 4.6}
                {"sentence": "A man cuts an onion.", "second": "A woman reads a book.", "score": 0.4}
                {"sentence": "The dog runs.", "second": "A dog is running outside.", "score": 3.8}
                """),
        ],
        TextTask.TokenClassification =>
        [
            new("JSON lines with spans", "entities.jsonl", """
                {"text": "The train leaves Lisbon on Monday.", "spans": [{"start": 17, "end": 23, "label": "place"}, {"start": 27, "end": 33, "label": "day"}]}
                {"text": "Nothing is due this week.", "spans": []}
                """),
            new("JSON lines with words and tags", "entities.jsonl", """
                {"tokens": ["The", "train", "leaves", "New", "Delhi", "today"], "ner_tags": ["O", "O", "O", "B-place", "I-place", "O"]}
                {"tokens": ["It", "arrives", "on", "Monday"], "ner_tags": ["O", "O", "O", "B-day"]}
                """),
            new("A word a line (CoNLL)", "entities.conll", "The\tO\ntrain\tO\nleaves\tO\nNew\tB-place\nDelhi\tI-place\n\nIt\tO\narrives\tO\non\tO\nMonday\tB-day\n"),
        ],
        TextTask.QuestionAnswering =>
        [
            new("JSON lines in SQuAD’s form", "questions.jsonl", """
                {"question": "When does the museum open?", "context": "The museum opens at ten and closes at six.", "answers": {"text": ["at ten"], "answer_start": [17]}}
                {"question": "What does a ticket cost?", "context": "The museum opens at ten and closes at six.", "answers": {"text": [], "answer_start": []}}
                """),
            new("CSV or TSV", "questions.csv", "question,context,answer,answer_start\nWhen does the museum open?,The museum opens at ten and closes at six.,at ten,17\nWhat does a ticket cost?,The museum opens at ten and closes at six.,,\n"),
        ],
        TextTask.Generation =>
        [
            new("JSON lines with chats", "chats.jsonl", """
                {"messages": [{"role": "system", "content": "Answer in one sentence."}, {"role": "user", "content": "When do you open on Sunday?"}, {"role": "assistant", "content": "On Sundays we open at eleven."}]}
                {"messages": [{"role": "user", "content": "Do you ship abroad?"}, {"role": "assistant", "content": "Yes, to all of Europe."}]}
                """),
            new("JSON lines with instructions", "instructions.jsonl", """
                {"instruction": "Write a subject line for this message.", "input": "The parcel is a week late.", "output": "Late parcel"}
                {"instruction": "Name a colour of the rainbow.", "input": "", "output": "Green"}
                """),
            new("CSV or TSV", "questions.csv", "question,answer\nWhen do you open on Sunday?,On Sundays we open at eleven.\nDo you ship abroad?,\"Yes, to all of Europe.\"\n"),
        ],
        _ => throw new ArgumentOutOfRangeException(nameof(task)),
    };
}
