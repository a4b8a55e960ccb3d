using System.Diagnostics;
using System.Text;
using FineTuneStudio.Engine.Baselines;
using FineTuneStudio.Engine.Metrics;

namespace FineTuneStudio.Engine.Tests.Parity;

/// <summary>
/// Reference: scikit-learn 1.2.1 (Debian 12), TfidfVectorizer() and LogisticRegression(C=1) with their defaults; for the
/// small case tol=1e-10. On Banking77 (10,003 rows to train, 3,080 to test, 2,320 words) it gives accuracy 0.877273,
/// macro-F1 0.877251 and an objective of 15324.1818.
/// </summary>
public sealed class BaselineParityTests
{
    static readonly string[] Texts =
    [
        "My card has not arrived yet", "When will my new card arrive?", "The card arrived but it is blocked", "I want to change my PIN",
        "How do I change the PIN of my card", "PIN is wrong, PIN blocked", "Where is my refund for the café", "The refund has not arrived",
        "I want my money back, a refund", "Señor López's top-up failed", "top up by card failed 2 times", "Why did my top_up fail?",
    ];
    static readonly int[] Labels = [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3];
    static readonly string[] Questions = ["The card arrived", "change the pin", "Refund of 2 top ups", "no known w-rd"];

    [Fact]
    public void Decision_values_of_four_labels_are_those_of_the_reference()
    {
        double[][] expected =
        [
            [0.39507135056374876, -0.2207955967904826, 0.04854975409738929, -0.22282550787065575],
            [-0.2762813703291018, 0.6830595582528273, -0.12287278280917407, -0.2839054051145514],
            [-0.27038408656905843, -0.06889172105633307, 0.18870060404386815, 0.15057520358152315],
            [-0.005779310544581834, -0.043241563541911554, -0.017282561750897655, 0.06630343583739079],
        ];
        TfIdfLogisticRegression model = TfIdfLogisticRegression.Fit(Texts, Labels, 4);
        for (int q = 0; q < Questions.Length; q++)
        {
            double[] scores = model.Scores(Questions[q]);
            for (int k = 0; k < 4; k++) Assert.InRange(scores[k], expected[q][k] - 1e-4, expected[q][k] + 1e-4);
        }
        Assert.Equal([0, 1, 2, 3], model.Predict(Questions));
    }

    [Fact]
    public void Two_labels_are_fitted_with_one_weight_vector_as_the_reference_does()
    {
        double[] expected = [-0.17099379485193522, -0.4202720897560351, 0.3665737390316987, 0.06071018389707254];
        TfIdfLogisticRegression model = TfIdfLogisticRegression.Fit(Texts, [.. Labels.Select(l => l >= 2 ? 5 : 3)], 7);
        for (int q = 0; q < Questions.Length; q++) Assert.InRange(model.Scores(Questions[q])[0], expected[q] - 1e-4, expected[q] + 1e-4);
        Assert.Equal([3, 3, 5, 5], model.Predict(Questions));
    }

    /// <summary>Reference: OneVsRestClassifier(LogisticRegression(C=1, tol=1e-10, max_iter=10000)) of scikit-learn 1.2.1 on the same features.</summary>
    [Fact]
    public void A_regression_for_each_label_gives_the_decision_values_of_the_reference()
    {
        IReadOnlyList<int>[] sets = [[0], [0], [0, 1], [1], [0, 1], [1], [2], [2, 0], [2], [3], [3, 0], [3]];
        double[][] expected =
        [
            [0.6593040121635008, -0.6750550923749326, -1.0894127654234782, -1.375462707634517],
            [-0.11087564492677757, -0.017037496767515203, -1.2831152900432834, -1.4486822382185878],
            [-0.013926186036275587, -0.9029233419322658, -0.9464803539082836, -0.9671786353256671],
            [-0.06819629434245056, -0.7800363102525473, -1.1649576466275093, -1.061258783683514],
        ];
        TfIdfOneVsRest model = TfIdfOneVsRest.Fit(Texts, sets, 4);
        for (int q = 0; q < Questions.Length; q++)
        {
            double[] scores = model.Scores(Questions[q]);
            for (int k = 0; k < 4; k++) Assert.InRange(scores[k], expected[q][k] - 1e-4, expected[q][k] + 1e-4);
        }
        Assert.Equal([[0], [], [], []], model.Predict(Questions));
        Assert.Equal(model.Words.Seen, model.Words.Used);
        Assert.Equal((5, model.Words.Seen), TfIdfOneVsRest.Fit(Texts, sets, 4, maxWeights: 20).Words);
        // Label 0 alone: 2 * 6 / (15 + 12); with label 2 as well: 2 * 9 / (15 + 24); and so on, never better.
        Assert.Equal([0], MajorityLabels.Fit(sets, 4).Labels.Take(1));
    }

    /// <summary>Reference: Ridge(alpha=1) of scikit-learn 1.2.1 on the same features, by Cholesky and by conjugate gradients alike.</summary>
    [Fact]
    public void Ridge_regression_gives_the_predictions_of_the_reference()
    {
        double[] expected = [2.0150743969139033, 2.4844095308199363, 2.8031732602157007, 2.7482567933089053];
        double[] predictions = TfIdfRidge.Fit(Texts, [0.5, 1.0, 2.5, 3, -1, 4, 7, 2, 0.25, 6, 5, 1.5]).Predict(Questions);
        for (int q = 0; q < 4; q++) Assert.InRange(predictions[q], expected[q] - 1e-7, expected[q] + 1e-7);
    }

    [SkippableFact]
    public void On_banking77_accuracy_objective_and_time_are_right()
    {
        var folder = Shared.Find("data/text-classification/banking77");
        var (texts, categories) = Read(Path.Combine(folder, "train.csv"));
        var (testTexts, testCategories) = Read(Path.Combine(folder, "test.csv"));
        List<string> names = [.. categories.Distinct().Order(StringComparer.Ordinal)];
        int[] labels = [.. categories.Select(c => names.IndexOf(c))], truth = [.. testCategories.Select(c => names.IndexOf(c))];
        Assert.Equal((10003, 3080, 77), (labels.Length, truth.Length, names.Count));

        Stopwatch watch = Stopwatch.StartNew();
        using Process self = Process.GetCurrentProcess();
        TimeSpan before = self.TotalProcessorTime;
        TfIdfLogisticRegression model = TfIdfLogisticRegression.Fit(texts, labels, 77);
        int[] predictions = model.Predict(testTexts);
        self.Refresh();
        TimeSpan worked = self.TotalProcessorTime - before;
        Console.WriteLine($"Banking77: {watch.Elapsed.TotalSeconds:F1} s, {worked.TotalSeconds:F1} s of processor time, {model.Iterations} iterations, objective {model.Objective:F4}");
        ClassificationReport report = Classification.Evaluate(truth, predictions, 77);
        Assert.InRange(model.Objective, 15324.17, 15324.19);
        Assert.InRange(report.Accuracy, 0.8766, 0.8780);
        Assert.InRange(report.MacroF1, 0.8766, 0.8780);
        Assert.InRange(worked.TotalSeconds, 0, 40);
        Assert.Equal(1 / 77.0, Classification.Evaluate(truth, [.. truth.Select(_ => MajorityLabel.Fit(labels, 77).Label)], 77).Accuracy, 9);
    }

    static (List<string> Texts, List<string> Categories) Read(string path)
    {
        List<string> texts = [], categories = [], row = [];
        StringBuilder cell = new();
        bool quoted = false;
        foreach (char c in File.ReadAllText(path))
        {
            if (c == '"') { quoted = !quoted; continue; }
            if (quoted || c is not (',' or '\n' or '\r')) { cell.Append(c); continue; }
            if (c == '\r') continue;
            row.Add(cell.ToString());
            cell.Clear();
            if (c == ',') continue;
            texts.Add(row[0]);
            categories.Add(row[1]);
            row.Clear();
        }
        return (texts[1..], categories[1..]);
    }
}
