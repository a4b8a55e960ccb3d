using System.Text.Json;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace FineTuneStudio.Torch.Tests;

public class OptimizerTests
{
    private static JsonElement Golden(string name) => JsonDocument.Parse(File.ReadAllText(Shared.Find("goldens/metrics.json"))).RootElement.GetProperty(name);

    private static float[] Floats(JsonElement e) => e.ValueKind == JsonValueKind.Array ? e.EnumerateArray().SelectMany(Floats).ToArray() : [e.GetSingle()];

    private static void Near(float[] expected, Tensor actual, double tolerance = 1e-6)
    {
        var values = actual.data<float>().ToArray();
        Assert.Equal(expected.Length, values.Length);
        foreach (var (e, a) in expected.Zip(values)) Assert.True(Math.Abs(e - a) <= tolerance, $"expected {e}, found {a}");
    }

    [SkippableTheory]
    [InlineData("adamw", false)]
    [InlineData("adamw_amsgrad", true)]
    public void AdamW_gives_PyTorchs_numbers(string name, bool amsgrad)
    {
        var golden = Golden("optimizer_steps");
        using var scope = NewDisposeScope();
        var w = nn.Parameter(tensor(Floats(golden.GetProperty("inputs").GetProperty("w0")), [2, 3]));
        var optimizer = optim.AdamW([w], lr: 1e-2, weight_decay: 0.1, amsgrad: amsgrad);
        foreach (var (grad, expected) in golden.GetProperty("inputs").GetProperty("grads").EnumerateArray().Zip(golden.GetProperty("expected").GetProperty(name).EnumerateArray()))
        {
            w.grad = tensor(Floats(grad), [2, 3]);
            optimizer.step();
            Near(Floats(expected), w, 2e-7);
        }
    }

    [SkippableTheory]
    [InlineData("sgd", 0, 0.1, false)]
    [InlineData("sgd_momentum", 0.9, 0.1, false)]
    [InlineData("sgd_nesterov", 0.9, 0, true)]
    public void SGD_gives_PyTorchs_numbers(string name, double momentum, double decay, bool nesterov)
    {
        var golden = Golden("optimizer_steps");
        using var scope = NewDisposeScope();
        var w = nn.Parameter(tensor(Floats(golden.GetProperty("inputs").GetProperty("w0")), [2, 3]));
        using var optimizer = optim.SGD([w], 1e-2, momentum, weight_decay: decay, nesterov: nesterov);
        foreach (var (grad, expected) in golden.GetProperty("inputs").GetProperty("grads").EnumerateArray().Zip(golden.GetProperty("expected").GetProperty(name).EnumerateArray()))
        {
            w.grad = tensor(Floats(grad), [2, 3]);
            optimizer.step();
            Near(Floats(expected), w, 3e-7);
        }
    }

    [SkippableTheory]
    [InlineData("max_1.0_norm_2.0", 1, 2)]
    [InlineData("max_100.0_norm_2.0", 100, 2)]
    [InlineData("max_1.0_norm_inf", 1, double.PositiveInfinity)]
    [InlineData("max_2.5_norm_1.0", 2.5, 1)]
    public void Clipping_gives_PyTorchs_numbers(string name, double max, double type)
    {
        var golden = Golden("clip_grad_norm");
        using var scope = NewDisposeScope();
        var parameters = golden.GetProperty("inputs").GetProperty("grads").EnumerateArray().Select(g =>
        {
            var p = nn.Parameter(zeros(g.GetArrayLength()));
            p.grad = tensor(Floats(g));
            return p;
        }).ToList();
        var expected = golden.GetProperty("expected").GetProperty(name);
        Assert.Equal(expected.GetProperty("total_norm").GetDouble(), nn.utils.clip_grad_norm_(parameters, max, type), 1e-5);
        foreach (var (p, clipped) in parameters.Zip(expected.GetProperty("clipped").EnumerateArray())) Near(Floats(clipped), p.grad!);
    }

    [SkippableFact]
    public void Cross_entropy_gives_PyTorchs_numbers()
    {
        var ce = Golden("ce");
        using var scope = NewDisposeScope();
        var logits = tensor(Floats(ce.GetProperty("inputs").GetProperty("logits")), [5, 4]);
        Tensor Labels(JsonElement golden) => tensor(golden.GetProperty("inputs").GetProperty("labels").EnumerateArray().Select(l => l.GetInt64()).ToArray());
        float Expected(string name) => Golden(name).GetProperty("expected").GetSingle();
        var labels = Labels(ce);
        Near([ce.GetProperty("expected").GetProperty("mean").GetSingle()], F.cross_entropy(logits, labels));
        Near([ce.GetProperty("expected").GetProperty("sum").GetSingle()], F.cross_entropy(logits, labels, reduction: nn.Reduction.Sum));
        Near(Floats(ce.GetProperty("expected").GetProperty("none")), F.cross_entropy(logits, labels, reduction: nn.Reduction.None));
        Near([Expected("ce_label_smoothing_torch")], F.cross_entropy(logits, labels, label_smoothing: 0.1));
        Near([Expected("ce_class_weighted")], F.cross_entropy(logits, labels, tensor(new[] { 1f, 2f, 0.5f, 4f })));
        Near([Expected("ce_ignore_index")], F.cross_entropy(logits, Labels(Golden("ce_ignore_index"))));
        Near([ce.GetProperty("expected").GetProperty("mean").GetSingle()], nn.CrossEntropyLoss().call(logits, labels));
    }

    [SkippableFact]
    public void Gelu_gives_PyTorchs_numbers()
    {
        var golden = Golden("activations");
        using var scope = NewDisposeScope();
        var x = tensor(Floats(golden.GetProperty("inputs").GetProperty("x")));
        Near(Floats(golden.GetProperty("expected").GetProperty("gelu")), F.gelu(x));
        Near(Floats(golden.GetProperty("expected").GetProperty("gelu_pytorch_tanh")), nn.GELU(GELU.Approximate.tanh).call(x));
    }

    [Fact]
    public void A_group_may_set_its_decay_and_take_the_rest_from_the_optimizer()
    {
        using var scope = NewDisposeScope();
        Parameter a = nn.Parameter(ones(1)), b = nn.Parameter(ones(1));
        var optimizer = optim.AdamW(
            [
                new AdamW.ParamGroup([a], new AdamW.Options { weight_decay = 0.5 }),
                new AdamW.ParamGroup([b], new AdamW.Options { weight_decay = 0 }),
            ],
            lr: 0.1);
        Assert.All(optimizer.ParamGroups, g => Assert.Equal(0.1, g.LearningRate));
        (a.grad, b.grad) = (zeros(1), zeros(1));
        optimizer.step();
        Near([0.95f], a);
        Near([1f], b);
        Assert.Equal((0.9, 0.999), optimizer.Betas);
    }

    [Fact]
    public void A_parameter_without_a_gradient_is_left_as_it_is()
    {
        using var scope = NewDisposeScope();
        Parameter a = nn.Parameter(ones(1)), b = nn.Parameter(ones(1));
        var optimizer = optim.AdamW([a, b], lr: 0.1, weight_decay: 0.1);
        a.grad = ones(1);
        optimizer.step();
        Near([1f], b);
        Assert.Equal([1, 0], optimizer.state_dict().State.Cast<AdamW.State>().Select(s => s.step));
        optimizer.zero_grad();
        Near([0f], a.grad!);
    }

    [Fact]
    public void A_saved_state_continues_to_the_same_numbers()
    {
        using var scope = NewDisposeScope();
        var (a, first) = Fresh();
        for (int k = 0; k < 3; k++) Step(a, first);

        var (b, second) = Fresh();
        using (no_grad())
        {
            b.copy_(a);
            foreach (var (target, source) in second.state_dict().State.Cast<AdamW.State>().Zip(first.state_dict().State.Cast<AdamW.State>()))
            {
                target.step = source.step;
                target.exp_avg.bytes = source.exp_avg.bytes;
                target.exp_avg_sq.bytes = source.exp_avg_sq.bytes;
            }
        }
        Step(a, first);
        Step(b, second);
        Assert.True(a.Equals(b));
        second.load_state_dict(first.state_dict());
        Assert.True(second.state_dict().State[0].ApproximatelyEquals(first.state_dict().State[0]));

        static (Parameter, AdamW) Fresh()
        {
            var p = nn.Parameter(tensor(new[] { 1f, -2f, 3f }));
            return (p, optim.AdamW([p], lr: 0.1));
        }

        static void Step(Parameter p, AdamW optimizer)
        {
            p.grad = null;
            (p * p).sum().backward();
            optimizer.step();
        }
    }

    [Fact]
    public void LambdaLR_sets_the_rate_of_step_zero_at_once_and_then_one_a_step()
    {
        using var scope = NewDisposeScope();
        var optimizer = optim.AdamW([nn.Parameter(ones(1))], lr: 1e-3);
        var schedule = optim.lr_scheduler.LambdaLR(optimizer, e => 1.0 / (e + 1));
        Assert.Equal(1e-3, optimizer.ParamGroups.Single().LearningRate, 12);
        schedule.step();
        Assert.Equal(5e-4, optimizer.ParamGroups.Single().LearningRate, 12);
        schedule.step();
        Assert.Equal(1e-3 / 3, schedule.get_last_lr().Single(), 12);
        schedule.step(7);
        Assert.Equal(1e-3 / 8, optimizer.ParamGroups.Single().LearningRate, 12);
    }

    [Fact]
    public void A_thousand_training_steps_leave_no_tensor_behind()
    {
        using var scope = NewDisposeScope();
        manual_seed(1);
        using var net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.1), nn.Linear(8, 3));
        var parameters = net.parameters().ToList();
        using var optimizer = optim.AdamW(parameters, lr: 1e-2, weight_decay: 0.01);
        var (x, y) = (randn(16, 4), randint(3, [16]));
        float first = 0, last = 0;
        long before = 0;
        for (int step = 0; step <= 1000; step++)
        {
            using var inner = NewDisposeScope();
            optimizer.zero_grad();
            var loss = F.cross_entropy(net.call(x), y);
            loss.backward();
            nn.utils.clip_grad_norm_(parameters, 1.0);
            optimizer.step();
            last = loss.item<float>();
            if (step == 0) first = last;
            inner.Dispose();
            if (step == 0) before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        }
        Assert.Equal(before, DisposeScopeManager.Statistics.ThreadTotalLiveCount);
        Assert.True(last < first / 4, $"the loss went from {first} to {last}");
    }
}
