using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Torch.Tests;

public class TensorTests
{
    [Fact]
    public void A_tensor_knows_its_shape_and_kind()
    {
        using var scope = NewDisposeScope();
        var t = zeros(2, 3);
        Assert.Equal([2, 3], t.shape);
        Assert.Equal(ScalarType.Float32, t.dtype);
        Assert.Equal("cpu", t.device.ToString());
        Assert.Equal(6, t.numel());
        Assert.Equal(3, t.size(-1));
        Assert.Equal("[2x3], type = Float32, device = cpu", t.ToString());
    }

    [Fact]
    public void The_element_type_decides_the_dtype_of_a_new_tensor()
    {
        using var scope = NewDisposeScope();
        Assert.Equal(ScalarType.Float64, tensor(1.0).dtype);
        Assert.Equal(ScalarType.Int32, tensor(1).dtype);
        Assert.Equal(ScalarType.Float32, tensor(1f).dtype);
        Assert.Equal(ScalarType.Int64, tensor(1L).dtype);
        Assert.Equal(ScalarType.Int64, full(2, 1).dtype);
        Assert.Equal(ScalarType.Float32, full(2, 1.5).dtype);
        Assert.Equal(ScalarType.Int64, arange(3).dtype);
        Assert.Equal(ScalarType.Float32, arange(0, 1, 0.25).dtype);
        Assert.Equal(ScalarType.Int64, randint(5, [3]).dtype);
        Assert.Equal([1, 2, 3], tensor(new List<long> { 1, 2, 3 }).data<long>().ToArray());
        Assert.Equal([2, 2], tensor(new float[,] { { 1, 2 }, { 3, 4 } }).shape);
        Assert.Equal([3, 2], tensor(new long[6], [3, 2]).shape);
    }

    [Fact]
    public void Numbers_beside_a_tensor_keep_its_dtype_within_their_kind()
    {
        using var scope = NewDisposeScope();
        Assert.Equal(ScalarType.Float32, (ones(2) * 0.5).dtype);
        Assert.Equal(ScalarType.Float32, (1.0 / ones(2)).dtype);
        Assert.Equal(ScalarType.Float32, (tensor(new long[] { 1 }) / 2).dtype);
        Assert.Equal(ScalarType.Float32, (tensor(new long[] { 1 }) + 0.5).dtype);
        Assert.Equal([0.5f, 0.25f], (1 / tensor(new[] { 2f, 4f })).data<float>().ToArray());
        Assert.Equal([-1f, -3f], (1 - tensor(new[] { 2f, 4f })).data<float>().ToArray());
    }

    [Fact]
    public void A_shape_error_raises_and_does_not_abort()
    {
        using var scope = NewDisposeScope();
        var e = Assert.Throws<ExternalException>(() => ones(2, 3).matmul(ones(2, 3)));
        Assert.Contains("2x3", e.Message);
        Assert.Throws<ExternalException>(() => ones(2, 3).mm(ones(2, 3)));
        Assert.Throws<ExternalException>(() => ones(2, 3) + ones(4));
        Assert.Throws<ExternalException>(() => ones(2).backward());
    }

    [Fact]
    public void A_disposed_tensor_refuses_use()
    {
        var t = ones(2);
        t.Dispose();
        Assert.True(t.IsInvalid);
        Assert.Equal("Tensor invalid -- empty handle.", Assert.Throws<InvalidOperationException>(() => t + 1).Message);
        t.Dispose();
    }

    [Fact]
    public void Item_wants_one_element_of_exactly_the_dtype()
    {
        using var scope = NewDisposeScope();
        Assert.Equal(3f, tensor(3f).item<float>());
        Assert.Throws<ArgumentException>(() => tensor(3f).item<double>());
        Assert.Throws<ArgumentException>(() => ones(2).item<float>());
        Assert.Equal(3.0, tensor(3f).ToDouble());
        Assert.Equal(3, (int)tensor(3.7));
    }

    [Fact]
    public void Data_comes_in_logical_order_whatever_the_strides()
    {
        using var scope = NewDisposeScope();
        var t = tensor(new float[,] { { 1, 2, 3 }, { 4, 5, 6 } });
        Assert.Equal([1, 4, 2, 5, 3, 6], t.t().data<float>().ToArray());
        Assert.Equal(6f, t.data<float>()[1, 2]);
        Assert.Equal(24, t.bytes.Length);
    }

    [Fact]
    public void Indices_of_every_kind_name_parts()
    {
        using var scope = NewDisposeScope();
        var t = arange(24).reshape(2, 3, 4);
        Assert.Equal(23, t[1, 2, 3].item<long>());
        Assert.Equal([3, 4], t[-1].shape);
        Assert.Equal([2, 3, 2], t[TensorIndex.Ellipsis, ..2].shape);
        Assert.Equal([2, 4], t[TensorIndex.Colon, 0].shape);
        Assert.Equal([1, 2, 3, 4], t[TensorIndex.None, TensorIndex.Ellipsis].shape);
        Assert.Equal([2, 4], t[0][tensor(new long[] { 2, 0 })].shape);
        Assert.Equal([8, 9, 10, 11], t[TensorIndex.Single(0), TensorIndex.Tensor(tensor(new long[] { 2 }))].data<long>().ToArray());
        Assert.Equal(12, t[t > 11].numel());
        t[0, 0, 0] = tensor(100L);
        Assert.Equal(100, t[0, 0, 0].item<long>());
        t[TensorIndex.Colon, TensorIndex.Single(1)] = tensor(7L);
        Assert.Equal(7 * 8, t[TensorIndex.Colon, 1].sum().item<long>());
    }

    [Fact]
    public void Gradients_flow_to_the_leaves()
    {
        using var scope = NewDisposeScope();
        var w = tensor(new[] { 1f, 2f, 3f }, requires_grad: true);
        var x = tensor(new[] { 4f, 5f, 6f });
        (w * x).pow(2).sum().backward();
        Assert.Equal([32f, 100f, 216f], w.grad!.data<float>().ToArray());
        using (no_grad()) Assert.False((w * 2).requires_grad);
        Assert.True((w * 2).requires_grad);
        Assert.Equal([2f, 2f, 2f], autograd.grad([(w * 2).sum()], [w])[0].data<float>().ToArray());
        Assert.False(w.detach().requires_grad);
    }

    [Fact]
    public void The_same_seed_and_the_same_state_give_the_same_numbers()
    {
        using var scope = NewDisposeScope();
        manual_seed(7);
        var first = randn(5);
        var state = get_rng_state();
        var second = rand(5);
        set_rng_state(state);
        Assert.True(rand(5).Equals(second));
        manual_seed(7);
        Assert.True(randn(5).Equals(first));
        Assert.Equal(7, initial_seed());
    }

    [Fact]
    public void Arrays_can_share_their_memory_with_a_tensor()
    {
        using var scope = NewDisposeScope();
        var array = new[] { 1f, 2f, 3f };
        from_array(array).mul_(2);
        Assert.Equal([2f, 4f, 6f], array);
        tensor(array).mul_(2);
        Assert.Equal([2f, 4f, 6f], array);
    }

    [Fact]
    public void Tuples_and_lists_of_results_come_back_whole()
    {
        using var scope = NewDisposeScope();
        var (values, indexes) = tensor(new[] { 3f, 1f, 2f }).topk(2);
        Assert.Equal([3f, 2f], values.data<float>().ToArray());
        Assert.Equal([0, 2], indexes.data<long>().ToArray());
        Assert.Equal([2, 2, 1], arange(5).split(2).Select(t => t.numel()));
        Assert.Equal([4, 3], cat([ones(1, 3), zeros(3, 3)]).shape);
        Assert.Equal([2, 2], stack([ones(2), zeros(2)]).shape);
    }

    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(7, 5, 3)]
    [InlineData(64, 33, 129)]
    [InlineData(3, 0, 4)]
    public void Products_are_right_for_every_layout_of_their_operands(int rows, int inner, int columns)
    {
        using var scope = NewDisposeScope();
        manual_seed(3);
        var (a, b) = (randn(rows, inner), randn(inner, columns));
        var expected = (a.unsqueeze(2).@double() * b.unsqueeze(0).@double()).sum(1).@float();
        foreach (var left in new[] { a, a.t().contiguous().t() })
        foreach (var right in new[] { b, b.t().contiguous().t() })
        {
            Assert.True(left.mm(right).allclose(expected, 1e-4, 1e-5));
            Assert.True(ones(rows, columns).addmm(left, right, beta: 2, alpha: 0.5f).allclose(expected * 0.5 + 2, 1e-4, 1e-5));
            Assert.True(left.expand(3, rows, inner).bmm(right.expand(3, inner, columns))[2].allclose(expected, 1e-4, 1e-5));
        }
    }

    /// <summary>The binding multiplies batches itself: every layout that it reads in place, those it copies, and those it leaves to libtorch.</summary>
    [Theory]
    [InlineData(1, 1, 1, 1)]
    [InlineData(5, 3, 1, 4)]
    [InlineData(5, 1, 6, 1)]
    [InlineData(130, 17, 33, 9)]
    [InlineData(2, 90, 70, 80)]
    [InlineData(3, 0, 4, 2)]
    [InlineData(0, 3, 4, 2)]
    [InlineData(3, 4, 0, 2)]
    public void Products_of_batches_are_right_for_every_layout_of_their_operands(int batch, int rows, int inner, int columns)
    {
        using var scope = NewDisposeScope();
        manual_seed(8);
        foreach (var left in Layouts(batch, rows, inner))
            foreach (var right in Layouts(batch, inner, columns))
            {
                var expected = (left.to(float64).unsqueeze(-1) * right.to(float64).unsqueeze(1)).sum(2);
                var found = left.bmm(right);
                Assert.Equal([batch, rows, columns], found.shape);
                Assert.True(found.to(float64).allclose(expected, 1e-4, 1e-5), $"{left} {string.Join(',', left.stride())} by {string.Join(',', right.stride())}");
            }

        static IEnumerable<Tensor> Layouts(int batch, int rows, int columns) =>
        [
            randn(batch, rows, columns),
            randn(batch, columns, rows).transpose(1, 2),
            randn(rows, batch, columns).transpose(0, 1),
            randn(batch, rows, 2 * columns).narrow(2, columns, columns),
            randn(columns, rows, batch).permute(2, 1, 0),
            randn(batch, 2 * rows, 3 * columns)[.., ..rows, ..columns].contiguous().flip(1),
            randn(1, rows, columns).expand(batch, rows, columns),
            randn(batch, rows, 1).expand(batch, rows, columns),
            randn(batch, rows, columns).to(float64).to(float32),
        ];
    }

    [Fact]
    public void Batches_that_do_not_fit_each_other_are_refused_in_libtorchs_words_and_doubles_stay_libtorchs()
    {
        using var scope = NewDisposeScope();
        Assert.Contains("Expected size for first two dimensions of batch2 tensor to be: [2, 4]", Assert.Throws<ExternalException>(() => zeros(2, 3, 4).bmm(zeros(2, 5, 6))).Message);
        Assert.Contains("Expected size for first two dimensions of batch2 tensor to be: [2, 4]", Assert.Throws<ExternalException>(() => zeros(2, 3, 4).bmm(zeros(3, 4, 6))).Message);
        Assert.Equal(float64, ones(2, 3, 4, float64).bmm(ones(2, 4, 5, float64)).dtype);
    }

    [Fact]
    public void Gradients_of_a_product_of_batches_are_those_of_its_definition()
    {
        using var scope = NewDisposeScope();
        manual_seed(9);
        var left = randn(6, 5, 7).requires_grad_();
        var right = randn(6, 4, 7).requires_grad_();
        var weights = randn(6, 5, 4);
        (left.bmm(right.transpose(1, 2)) * weights).sum().backward();
        var (byProduct, byProductRight) = (left.grad!.clone(), right.grad!.clone());
        left.grad!.zero_();
        right.grad!.zero_();
        ((left.unsqueeze(2) * right.unsqueeze(1)).sum(3) * weights).sum().backward();
        Assert.True(byProduct.allclose(left.grad, 1e-4, 1e-5));
        Assert.True(byProductRight.allclose(right.grad, 1e-4, 1e-5));
    }

    [Fact]
    public void Bytes_of_scattered_elements_and_numbers_of_unsupported_dtypes_are_refused_with_what_is_supported()
    {
        using var scope = NewDisposeScope();
        var turned = zeros(2, 3).t();
        Assert.Equal("Bytes are given only of a tensor whose elements lie one after another in memory; this one of shape [3, 2] has the strides [1, 3]. Call contiguous() first.",
            Assert.Throws<NotSupportedException>(() => turned.bytes.Length).Message);
        Assert.Equal(24, turned.contiguous().bytes.Length);
        Assert.Equal("A tensor of ComplexFloat32 has no scalar value here; supported are Byte, Int8, Int16, Int32, Int64, Float16, BFloat16, Float32, Float64 and Bool.",
            Assert.Throws<NotSupportedException>(() => zeros([], ScalarType.ComplexFloat32).ToScalar()).Message);
        Assert.Equal("QInt8 is not supported here; supported are Byte, Int8, Int16, Int32, Int64, Float16, BFloat16, Float32, Float64, Bool, ComplexFloat32 and ComplexFloat64.",
            Assert.Throws<NotSupportedException>(() => ScalarType.QInt8.ElementSize()).Message);
    }
}
